//! A text in quotes that ends in another line than it begins in: Cedar's parser takes it, and stumbles at the
//! next quote, far below.

use crate::model::{Problem, Text};

/// Returns the problem of the first such text of a file that cannot be parsed, if there is one.
pub(super) fn open_text(text: &Text) -> Option<Problem> {
    let begin = first_open(text.text())?;
    let problem = Problem::at(text, (begin, 1), "a text begins here and does not end in this line");
    Some(problem.with_help("end it with `\"`; a new line within a text is written `\\n`"))
}

fn first_open(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'/' if bytes.next_if(|(_, next)| *next == b'/').is_some() => {
                while bytes.next_if(|(_, next)| *next != b'\n').is_some() {}
            }
            b'"' => loop {
                match bytes.next() {
                    Some((_, b'"')) => break,
                    Some((_, b'\\')) => {
                        bytes.next();
                    }
                    None | Some((_, b'\n')) => return Some(at),
                    Some(_) => {}
                }
            },
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_text_that_goes_on_below_is_found() {
        for (text, at) in [
            ("@doc(\"a\")\n", None),
            ("// \"\n@doc(\"a \\\" // b\") ' \n", None),
            ("@doc(\"a)\npermit (\"b\")", Some(5)),
            ("x\n\"\\\n\"", None),
            ("\"", Some(0)),
        ] {
            assert_eq!(first_open(text), at, "{text}");
        }
    }
}
