//! ConfigMaps as the kubelet mounts them: hidden folders, and a link that is swapped.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// A folder that the kubelet keeps up to date.
pub struct Mount {
    folder: PathBuf,
    generation: u32,
}

impl Mount {
    /// An empty one.
    pub fn new(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        Self { folder: folder.to_owned(), generation: 0 }
    }

    /// Puts other files in the mount, in the kubelet's order: a new hidden folder, the swap, links
    /// for new names, away with the links of old names, away with the old folder.
    pub fn put(&mut self, files: &[(&str, String)]) {
        let old = fs::read_link(self.folder.join("..data")).ok();
        self.generation += 1;
        let new = format!("..2026_01_01_00_00_00.{}", self.generation);
        for (file, text) in files {
            let path = self.folder.join(&new).join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        symlink(&new, self.folder.join("..data_tmp")).unwrap();
        fs::rename(self.folder.join("..data_tmp"), self.folder.join("..data")).unwrap();
        let tops = || files.iter().map(|(file, _)| file.split('/').next().unwrap());
        for top in tops() {
            let link = self.folder.join(top);
            if fs::symlink_metadata(&link).is_err() {
                symlink(Path::new("..data").join(top), link).unwrap();
            }
        }
        for entry in fs::read_dir(&self.folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if !name.starts_with("..") && !tops().any(|top| top == name) {
                fs::remove_file(self.folder.join(name)).unwrap();
            }
        }
        if let Some(old) = old {
            fs::remove_dir_all(self.folder.join(old)).unwrap();
        }
    }
}
