//! Reading a written value into the field of the settings that holds it.

use std::{
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    str::FromStr,
    time::Duration,
};

use super::{HttpHost, ListenAddress};
use crate::{
    audit::RecordField, net::tls::ClientId, reload::Gate, shadow::CpuShare, sources::SourceOf,
    telemetry::Sampler,
};

/// A value as one of the layers writes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Written {
    /// Texts of an environment variable or of flags, to be read by the setting's type.
    Texts(Vec<String>),
    /// A TOML string.
    String(String),
    /// A TOML integer; none where it is out of range.
    Integer(Option<i64>),
    /// A TOML float.
    Float(f64),
    /// A TOML boolean.
    Boolean(bool),
    /// A TOML array of strings.
    Strings(Vec<String>),
    /// TOML of another kind, with its name.
    Other(&'static str),
}

/// The field that holds the value of a setting.
pub(super) enum SettingField<'a> {
    Text(&'a mut dyn TextSetting),
    Addresses(&'a mut Vec<ListenAddress>),
    ClientIds(&'a mut Vec<ClientId>),
    Fields(&'a mut Vec<RecordField>),
    Gates(&'a mut Vec<Gate>),
    Hosts(&'a mut Vec<HttpHost>),
    Sources(&'a mut Vec<SourceOf>),
    Switch(&'a mut bool),
    /// A number from 0 to 1.
    Share(&'a mut Sampler),
    /// A number from 0.001 to 1.
    CpuShare(&'a mut CpuShare),
    Count(&'a mut usize),
    Positive(&'a mut NonZeroUsize),
    /// A number that must fit into a field of HTTP/2.
    Small(&'a mut NonZeroU32),
    /// Milliseconds.
    Millis(&'a mut Duration),
    /// Milliseconds, at least one.
    PositiveMillis(&'a mut Duration),
    /// Seconds.
    Seconds(&'a mut Duration),
    /// Seconds, at least one.
    PositiveSeconds(&'a mut Duration),
}

/// A year, in milliseconds: the clock may not be able to represent a moment that lies further ahead.
const LONGEST: usize = 365 * 24 * 60 * 60 * 1_000;

/// The largest number of a field of HTTP/2.
const SMALL: u32 = (1 << 31) - 1;

/// A setting that is written as one text.
pub(super) trait TextSetting {
    /// Returns the form of the text, for people.
    fn form(&self) -> &'static str;
    /// Reads the value from a text.
    fn read(&mut self, text: &str) -> Result<(), String>;
    /// Returns the value as it is written.
    fn write(&self) -> String;
}

impl Written {
    pub(super) fn text(text: String) -> Self {
        Self::Texts(vec![text])
    }

    fn describe(&self) -> &'static str {
        match self {
            Self::Texts(_) | Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Boolean(_) => "a boolean",
            Self::Strings(_) => "an array",
            Self::Other(kind) => kind,
        }
    }
}

impl SettingField<'_> {
    /// Reads a value of one layer into the field.
    pub(super) fn read(self, written: &Written) -> Result<(), String> {
        match self {
            Self::Text(field) => field.read(&one_text(written)?),
            Self::Addresses(field) => addresses(written).map(|addresses| *field = addresses),
            Self::ClientIds(field) => list(written).map(|ids| *field = ids),
            Self::Fields(field) => list(written).map(|fields| *field = fields),
            Self::Gates(field) => list(written).map(|gates| *field = gates),
            Self::Hosts(field) => list(written).map(|hosts| *field = hosts),
            Self::Sources(field) => list(written).map(|sources| *field = sources),
            Self::Switch(field) => switch(written).map(|on| *field = on),
            Self::Share(field) => share(written).map(|share| *field = share),
            Self::CpuShare(field) => share(written).map(|share| *field = share),
            Self::Count(field) => number(written).map(|number| *field = number),
            Self::Positive(field) => positive(number(written)?).map(|number| *field = number),
            Self::Small(field) => small(number(written)?).map(|number| *field = number),
            Self::Millis(field) => time(number(written)?, 1).map(|time| *field = time),
            Self::PositiveMillis(field) => {
                time(positive(number(written)?)?.get(), 1).map(|time| *field = time)
            }
            Self::Seconds(field) => time(number(written)?, 1_000).map(|time| *field = time),
            Self::PositiveSeconds(field) => {
                time(positive(number(written)?)?.get(), 1_000).map(|time| *field = time)
            }
        }
    }

    /// Returns the form of the value and its bounds, for people. `unit` is that of a number.
    pub(super) fn form(self, unit: &str) -> String {
        match self {
            Self::Text(field) => field.form().to_owned(),
            Self::Addresses(_) => "list of addresses, at least one".to_owned(),
            Self::ClientIds(_) => "list of DNS names and URIs".to_owned(),
            Self::Fields(_) => "list of fields of records".to_owned(),
            Self::Gates(_) => "list of gates".to_owned(),
            Self::Hosts(_) => "list of hosts".to_owned(),
            Self::Sources(_) => "list of `STORE=SOURCE`".to_owned(),
            Self::Switch(_) => "`true` or `false`".to_owned(),
            Self::Share(_) => "number from 0 to 1".to_owned(),
            Self::CpuShare(_) => "number from 0.001 to 1".to_owned(),
            Self::Count(_) => format!("{unit}, 0 or more"),
            Self::Positive(_) => format!("{unit}, 1 or more"),
            Self::Small(_) => format!("{unit}, 1 to {SMALL}"),
            Self::Millis(_) => format!("milliseconds, 0 to {LONGEST} (a year)"),
            Self::PositiveMillis(_) => format!("milliseconds, 1 to {LONGEST} (a year)"),
            Self::Seconds(_) => format!("seconds, 0 to {} (a year)", LONGEST / 1_000),
            Self::PositiveSeconds(_) => format!("seconds, 1 to {} (a year)", LONGEST / 1_000),
        }
    }

    /// Returns the value as TOML.
    pub(super) fn write(self) -> toml::Value {
        let integer = |number: u128| i64::try_from(number).unwrap_or(i64::MAX).into();
        match self {
            Self::Text(field) => field.write().into(),
            Self::Addresses(field) => {
                let addresses: Vec<_> = field.iter().map(ToString::to_string).collect();
                addresses.into()
            }
            Self::ClientIds(field) => {
                let ids: Vec<_> = field.iter().map(ToString::to_string).collect();
                ids.into()
            }
            Self::Fields(field) => {
                let fields: Vec<_> = field.iter().map(ToString::to_string).collect();
                fields.into()
            }
            Self::Gates(field) => {
                let gates: Vec<_> = field.iter().map(ToString::to_string).collect();
                gates.into()
            }
            Self::Hosts(field) => {
                let hosts: Vec<_> = field.iter().map(ToString::to_string).collect();
                hosts.into()
            }
            Self::Sources(field) => {
                let sources: Vec<_> = field.iter().map(ToString::to_string).collect();
                sources.into()
            }
            Self::Switch(field) => (*field).into(),
            Self::Share(field) => f64::from(*field).into(),
            Self::CpuShare(field) => f64::from(*field).into(),
            Self::Count(field) => integer(*field as u128),
            Self::Positive(field) => integer(field.get() as u128),
            Self::Small(field) => integer(field.get().into()),
            Self::Millis(field) | Self::PositiveMillis(field) => integer(field.as_millis()),
            Self::Seconds(field) | Self::PositiveSeconds(field) => integer(field.as_secs().into()),
        }
    }
}

fn one_text(written: &Written) -> Result<String, String> {
    match written {
        Written::String(text) => Ok(text.clone()),
        Written::Texts(texts) => match texts.as_slice() {
            [text] => Ok(text.clone()),
            _ => Err("it is given more than once".to_owned()),
        },
        other => Err(format!("a string is expected, not {}", other.describe())),
    }
}

fn addresses(written: &Written) -> Result<Vec<ListenAddress>, String> {
    let addresses = list(written)?;
    if addresses.is_empty() {
        return Err("name at least one address".to_owned());
    }
    Ok(addresses)
}

/// A list of texts that a type reads; one empty text is an empty list.
fn list<T: FromStr<Err: fmt::Display>>(written: &Written) -> Result<Vec<T>, String> {
    let texts = match written {
        Written::String(text) => vec![text.as_str()],
        Written::Strings(texts) => texts.iter().map(String::as_str).collect(),
        // In a variable or flag there is no list, so several texts are set apart by commas.
        Written::Texts(texts) => texts.iter().flat_map(|text| text.split(',')).collect(),
        other => {
            return Err(format!("an array of strings is expected, not {}", other.describe()));
        }
    };
    if texts.iter().all(|text| text.is_empty()) && texts.len() < 2 {
        return Ok(Vec::new());
    }
    texts.into_iter().map(|text| text.trim().parse().map_err(|error| format!("{error}"))).collect()
}

fn switch(written: &Written) -> Result<bool, String> {
    match written {
        Written::Boolean(on) => Ok(*on),
        Written::Texts(texts) => match texts.last().map(String::as_str) {
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            other => Err(format!("`{}` is neither `true` nor `false`", other.unwrap_or_default())),
        },
        other => Err(format!("`true` or `false` is expected, not {}", other.describe())),
    }
}

fn share<T: TryFrom<f64, Error: fmt::Display>>(written: &Written) -> Result<T, String> {
    let number = match written {
        Written::Float(number) => Some(*number),
        Written::Integer(number) => number.map(|number| number as f64),
        Written::Texts(_) => one_text(written)?.parse().ok(),
        other => return Err(format!("a number is expected, not {}", other.describe())),
    };
    T::try_from(number.unwrap_or(f64::NAN)).map_err(|error| error.to_string())
}

fn number(written: &Written) -> Result<usize, String> {
    let (number, not) = match written {
        Written::Integer(number) => {
            (number.and_then(|number| usize::try_from(number).ok()), String::new())
        }
        Written::Texts(_) => {
            let text = one_text(written)?;
            (text.parse().ok(), format!(", not `{text}`"))
        }
        other => return Err(format!("a number is expected, not {}", other.describe())),
    };
    // TOML knows no greater number, and the settled settings must be a valid file again.
    let number = number.filter(|number| i64::try_from(*number).is_ok());
    number.ok_or_else(|| format!("a whole number of 0 or more is expected{not}"))
}

fn positive(number: usize) -> Result<NonZeroUsize, String> {
    NonZeroUsize::new(number).ok_or_else(|| "0 is too little: write 1 or more".to_owned())
}

fn small(number: usize) -> Result<NonZeroU32, String> {
    let small = u32::try_from(positive(number)?.get()).ok().filter(|small| *small <= SMALL);
    let small = small.and_then(NonZeroU32::new);
    small.ok_or_else(|| format!("write {SMALL} or less"))
}

/// Multiplies a count of units by the milliseconds of one.
fn time(number: usize, unit: usize) -> Result<Duration, String> {
    let millis = number.checked_mul(unit).filter(|millis| *millis <= LONGEST);
    let millis = millis.ok_or_else(|| format!("write {} (a year) or less", LONGEST / unit))?;
    Ok(Duration::from_millis(millis as u64))
}
