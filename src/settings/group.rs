//! The group of Unix sockets.

use std::{fs, io};

use super::setting_field::TextSetting;

/// A group, by its number or by its name in `/etc/group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketGroup {
    /// Its number.
    Number(u32),
    /// Its name.
    Name(String),
}

impl SocketGroup {
    /// Returns the group's number.
    ///
    /// # Errors
    /// There is no group of that name.
    pub fn number(&self) -> io::Result<u32> {
        let name = match self {
            Self::Number(number) => return Ok(*number),
            Self::Name(name) => name,
        };
        let groups = fs::read_to_string("/etc/group")?;
        number_of(name, &groups).ok_or_else(|| {
            let message = format!("no group is called `{name}` in `/etc/group`: write its number");
            io::Error::new(io::ErrorKind::NotFound, message)
        })
    }
}

fn number_of(name: &str, groups: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(name);
        is_it.then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

impl TextSetting for Option<SocketGroup> {
    fn form(&self) -> &'static str {
        "name or number, or empty"
    }

    fn read(&mut self, text: &str) -> Result<(), String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        *self = match text.parse() {
            _ if text.is_empty() => None,
            Ok(number) => Some(SocketGroup::Number(number)),
            Err(_) if text.chars().all(is_name) => Some(SocketGroup::Name(text.to_owned())),
            Err(_) => return Err(format!("`{text}` is not a group: write its name or number")),
        };
        Ok(())
    }

    fn write(&self) -> String {
        match self {
            None => String::new(),
            Some(SocketGroup::Number(number)) => number.to_string(),
            Some(SocketGroup::Name(name)) => name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let groups = "root:x:0:\nweb:x:33:alice,bob\nbroken\nodd:x:many:\n";
        assert_eq!(number_of("root", groups), Some(0));
        assert_eq!(number_of("web", groups), Some(33));
        assert_eq!(number_of("we", groups), None);
        assert_eq!(number_of("broken", groups), None);
        assert_eq!(number_of("odd", groups), None);
    }
}
