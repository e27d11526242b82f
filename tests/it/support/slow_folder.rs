//! A policies folder on a file system that takes its time, or does not answer at all.

use std::{
    ffi::OsStr,
    io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry,
    Request,
};
use tempfile::TempDir;

/// No test is stuck for longer, not even one that fails.
const AT_MOST: Duration = Duration::from_secs(20);

/// A folder with one store of two files, served by this process.
pub struct SlowFolder {
    state: Arc<State>,
    folder: TempDir,
    session: Option<BackgroundSession>,
}

struct State {
    store: &'static str,
    schema: String,
    policies: Mutex<(String, SystemTime)>,
    began: SystemTime,
    delay_micros: AtomicU64,
    stuck: AtomicBool,
    waiting: AtomicU64,
    answered: AtomicU64,
}

impl SlowFolder {
    /// A folder that answers at once so far. None where mounting is not allowed.
    pub fn mount(store: &'static str, schema: &str, policies: &str) -> Option<Self> {
        let now = SystemTime::now();
        let state = Arc::new(State {
            store,
            schema: schema.to_owned(),
            policies: Mutex::new((policies.to_owned(), now)),
            began: now,
            delay_micros: AtomicU64::new(0),
            stuck: AtomicBool::new(false),
            waiting: AtomicU64::new(0),
            answered: AtomicU64::new(0),
        });
        let folder = TempDir::new().unwrap();
        let mut config = Config::default();
        config.mount_options =
            vec![MountOption::RO, MountOption::FSName("humbaba-test".to_owned())];
        let mounted: io::Result<_> =
            fuser::spawn_mount(SlowFs(Arc::clone(&state)), folder.path(), &config);
        match mounted {
            Ok(session) => Some(Self { state, folder, session: Some(session) }),
            Err(error) => {
                super::skip::skip_even_in_ci(&format!(
                    "mounting a file system is not allowed here: {error}"
                ));
                None
            }
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Puts other policies there.
    pub fn write(&self, policies: &str) {
        *self.state.policies.lock().unwrap() = (policies.to_owned(), SystemTime::now());
    }

    /// Sets the time that everything takes from now on.
    pub fn delay(&self, delay: Duration) {
        self.state.delay_micros.store(delay.as_micros() as u64, Relaxed);
    }

    /// Sets whether nothing is answered from now on.
    pub fn stuck(&self, stuck: bool) {
        self.state.stuck.store(stuck, Relaxed);
    }

    /// Returns whether somebody waits for an answer.
    pub fn keeps_waiting(&self) -> bool {
        self.state.waiting.load(Relaxed) > 0
    }

    /// Returns the number of answers.
    pub fn answered(&self) -> u64 {
        self.state.answered.load(Relaxed)
    }
}

impl Drop for SlowFolder {
    fn drop(&mut self) {
        self.stuck(false);
        self.delay(Duration::ZERO);
        if let Some(session) = self.session.take() {
            let _ = session.umount_and_join();
        }
    }
}

struct SlowFs(Arc<State>);

const STORE: u64 = 2;
const SCHEMA: u64 = 3;
const POLICIES: u64 = 4;
/// Nothing is remembered by the system.
const TTL: Duration = Duration::ZERO;

impl SlowFs {
    fn take_time(&self) {
        let state = &self.0;
        state.waiting.fetch_add(1, Relaxed);
        thread::sleep(Duration::from_micros(state.delay_micros.load(Relaxed)));
        let begun = Instant::now();
        while state.stuck.load(Relaxed) && begun.elapsed() < AT_MOST {
            thread::sleep(Duration::from_millis(2));
        }
        state.waiting.fetch_sub(1, Relaxed);
        state.answered.fetch_add(1, Relaxed);
    }

    fn content(&self, inode: u64) -> Option<(String, SystemTime)> {
        match inode {
            SCHEMA => Some((self.0.schema.clone(), self.0.began)),
            POLICIES => Some(self.0.policies.lock().unwrap().clone()),
            _ => None,
        }
    }

    fn attributes(&self, inode: u64) -> Option<FileAttr> {
        let content = self.content(inode);
        let is_folder = inode == INodeNo::ROOT.0 || inode == STORE;
        if content.is_none() && !is_folder {
            return None;
        }
        let (text, changed) = content.unwrap_or((String::new(), self.0.began));
        Some(FileAttr {
            ino: INodeNo(inode),
            size: text.len() as u64,
            blocks: 1,
            atime: changed,
            mtime: changed,
            ctime: changed,
            crtime: changed,
            kind: if is_folder { FileType::Directory } else { FileType::RegularFile },
            perm: if is_folder { 0o555 } else { 0o444 },
            nlink: 1,
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            rdev: 0,
            flags: 0,
            blksize: 512,
        })
    }

    fn entries(&self, inode: u64) -> Vec<(u64, FileType, &str)> {
        match inode {
            STORE => vec![
                (SCHEMA, FileType::RegularFile, "schema.cedarschema"),
                (POLICIES, FileType::RegularFile, "policies.cedar"),
            ],
            _ => vec![(STORE, FileType::Directory, self.0.store)],
        }
    }
}

impl Filesystem for SlowFs {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.take_time();
        let entries = self.entries(parent.0);
        let found = entries.iter().find(|(_, _, entry)| name == *entry);
        match found.and_then(|(inode, _, _)| self.attributes(*inode)) {
            Some(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.take_time();
        match self.attributes(inode.0) {
            Some(attributes) => reply.attr(&TTL, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.take_time();
        let Some((text, _)) = self.content(inode.0) else { return reply.error(Errno::ENOENT) };
        let rest = text.as_bytes().get(offset as usize..).unwrap_or_default();
        reply.data(&rest[..rest.len().min(size as usize)]);
    }

    fn readdir(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        self.take_time();
        for (index, (inode, kind, name)) in
            self.entries(inode.0).into_iter().enumerate().skip(offset as usize)
        {
            if reply.add(INodeNo(inode), index as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}
