//! The reference of the contract in `docs/api.md` says what the comments of the proto files say.
//!
//! `UPDATE_API_DOCS=1 cargo test --test it api_docs` writes it again.

use std::{collections::HashMap, fmt::Write as _, fs, path::Path};

use humbaba::proto::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, ServiceDescriptorProto, field_descriptor_proto::Type,
};

/// All above it in the page is written by hand.
const MARK: &str = "<!-- From the comments of the proto files, by tests/it/api_docs.rs: -->\n";

/// The numbers of fields of descriptors, of which the path of a comment consists.
mod number {
    pub const MESSAGE: i32 = 4;
    pub const ENUM: i32 = 5;
    pub const SERVICE: i32 = 6;
    pub const FIELD: i32 = 2;
    pub const VALUE: i32 = 2;
    pub const METHOD: i32 = 2;
}

#[test]
fn the_reference_is_that_of_the_proto_files() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md");
    let page = fs::read_to_string(&path).unwrap();
    let (by_hand, reference) = page.split_once(MARK).expect("the page has the mark");
    let expected = reference_of(&FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap());
    if std::env::var_os("UPDATE_API_DOCS").is_some() {
        fs::write(&path, format!("{by_hand}{MARK}{expected}")).unwrap();
    } else {
        let advice = "docs/api.md is out of date: UPDATE_API_DOCS=1 cargo test --test it api_docs";
        assert!(reference == expected, "{advice}");
    }
}

#[test]
fn everything_in_the_contract_has_a_comment() {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    for file in of_humbaba(&set) {
        let page = Page::new(file);
        let missing: Vec<_> =
            page.paths().into_iter().filter(|path| page.comment(path).is_empty()).collect();
        assert!(missing.is_empty(), "{}: {missing:?}", file.name());
    }
}

fn of_humbaba(set: &FileDescriptorSet) -> impl Iterator<Item = &FileDescriptorProto> {
    set.file.iter().filter(|file| file.package().starts_with("humbaba."))
}

/// The reference in Markdown: services first, then messages and enumerations.
fn reference_of(set: &FileDescriptorSet) -> String {
    let pages: Vec<_> = of_humbaba(set).map(Page::new).collect();
    let mut text = String::new();
    pages.iter().for_each(|page| page.services(&mut text));
    pages.iter().for_each(|page| page.messages(&mut text));
    text
}

struct Page<'a> {
    file: &'a FileDescriptorProto,
    comments: HashMap<&'a [i32], &'a str>,
}

impl<'a> Page<'a> {
    fn new(file: &'a FileDescriptorProto) -> Self {
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        let comments = locations.map(|place| (&place.path[..], place.leading_comments()));
        Self { file, comments: comments.collect() }
    }

    /// The comment at a path, without the space that begins each of its lines.
    fn comment(&self, path: &[i32]) -> String {
        let comment = self.comments.get(path).copied().unwrap_or_default();
        let lines = comment.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
        lines.collect::<Vec<_>>().join("\n").trim().to_owned()
    }

    /// The comment at a path in one line, for a table.
    fn cell(&self, path: &[i32]) -> String {
        self.comment(path).replace('\n', " ").replace('|', "\\|")
    }

    /// The paths of all that has a comment.
    fn paths(&self) -> Vec<Vec<i32>> {
        let indexed = |count: usize| 0..i32::try_from(count).unwrap();
        let mut paths = Vec::new();
        let mut add = |kind: i32, index: i32, part: i32, parts: usize| {
            paths.push(vec![kind, index]);
            paths.extend(indexed(parts).map(|at| vec![kind, index, part, at]));
        };
        for (index, service) in indexed(self.file.service.len()).zip(&self.file.service) {
            add(number::SERVICE, index, number::METHOD, service.method.len());
        }
        for (index, message) in indexed(self.file.message_type.len()).zip(&self.file.message_type) {
            add(number::MESSAGE, index, number::FIELD, message.field.len());
        }
        for (index, one) in indexed(self.file.enum_type.len()).zip(&self.file.enum_type) {
            add(number::ENUM, index, number::VALUE, one.value.len());
        }
        paths
    }

    fn services(&self, text: &mut String) {
        for (index, service) in (0..).zip(&self.file.service) {
            self.service(text, index, service);
        }
    }

    fn service(&self, text: &mut String, index: i32, service: &ServiceDescriptorProto) {
        let comment = self.comment(&[number::SERVICE, index]);
        let _ = writeln!(text, "\n## {}\n\n{comment}\n", service.name());
        text.push_str("| call | takes | answers | |\n|---|---|---|---|\n");
        for (at, method) in (0..).zip(&service.method) {
            let stream = if method.server_streaming() { "stream of " } else { "" };
            let _ = writeln!(
                text,
                "| `{}` | {} | {stream}{} | {} |",
                method.name(),
                link(method.input_type()),
                link(method.output_type()),
                self.cell(&[number::SERVICE, index, number::METHOD, at]),
            );
        }
    }

    fn messages(&self, text: &mut String) {
        for (index, message) in (0..).zip(&self.file.message_type) {
            self.message(text, index, message);
        }
        for (index, one) in (0..).zip(&self.file.enum_type) {
            self.enumeration(text, index, one);
        }
    }

    fn message(&self, text: &mut String, index: i32, message: &DescriptorProto) {
        let comment = self.comment(&[number::MESSAGE, index]);
        let _ = writeln!(text, "\n### {}\n\n{comment}\n", message.name());
        text.push_str("| | field | type | |\n|---|---|---|---|\n");
        for (at, field) in (0..).zip(&message.field) {
            let comment = self.cell(&[number::MESSAGE, index, number::FIELD, at]);
            let (number, name) = (field.number(), field.name());
            let _ =
                writeln!(text, "| {number} | `{name}` | {} | {comment} |", kind(message, field));
        }
    }

    fn enumeration(&self, text: &mut String, index: i32, one: &EnumDescriptorProto) {
        let comment = self.comment(&[number::ENUM, index]);
        let _ = writeln!(text, "\n### {}\n\n{comment}\n", one.name());
        text.push_str("| | value | |\n|---|---|---|\n");
        for (at, value) in (0..).zip(&one.value) {
            let comment = self.cell(&[number::ENUM, index, number::VALUE, at]);
            let _ = writeln!(text, "| {} | `{}` | {comment} |", value.number(), value.name());
        }
    }
}

/// The type of a field, with what may be unset or there several times.
fn kind(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let name = field.type_name().rsplit('.').next().unwrap_or_default();
    let is_map = |entry: &&DescriptorProto| {
        entry.name() == name && entry.options.as_ref().is_some_and(|options| options.map_entry())
    };
    if let Some(entry) = message.nested_type.iter().find(is_map) {
        let [key, value] = &entry.field[..] else { panic!("{name}") };
        return format!("map of {} to {}", scalar(key), scalar(value));
    }
    let label = match field.label() {
        prost_types::field_descriptor_proto::Label::Repeated => "repeated ",
        _ if field.proto3_optional() => "optional ",
        _ if field.oneof_index.is_some() => "one of: ",
        _ => "",
    };
    format!("{label}{}", scalar(field))
}

fn scalar(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::Message | Type::Enum => link(field.type_name()),
        other => other.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    }
}

/// A message's name, leading to its section where the page has one.
fn link(full: &str) -> String {
    match full.strip_prefix(".humbaba.v1.") {
        Some(name) => format!("[{name}](#{})", name.to_lowercase()),
        None => format!("`{}`", full.trim_start_matches('.')),
    }
}
