//! Settings in four layers.

use std::{collections::BTreeMap, io, num::NonZeroUsize, path::Path, time::Duration};

use humbaba::{
    model::OnForbidError,
    reload::Gate,
    settings::{
        FlagSetting, ListenAddress, LogFormat, Origin, SettingError, SettingsErrors, Settled,
        print, settle,
    },
};

/// The layers of one test: no process environment, no file system.
#[derive(Default)]
struct Layers<'a> {
    file: Option<&'a str>,
    variables: &'a [(&'a str, &'a str)],
    flags: &'a [(&'a str, &'a [&'a str])],
}

impl Layers<'_> {
    fn settle(&self) -> Result<Settled, SettingsErrors> {
        let flags: Vec<_> = self
            .flags
            .iter()
            .map(|(key, values)| FlagSetting {
                flag: format!("--{key}"),
                key: (*key).to_owned(),
                values: values.iter().map(|value| (*value).to_owned()).collect(),
            })
            .collect();
        let variables =
            self.variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = self.file.map(|_| Path::new("humbaba.toml"));
        settle(&flags, config, variables, |path| {
            assert_eq!(path, Path::new("humbaba.toml"));
            Ok(self.file.unwrap().to_owned())
        })
    }

    fn settled(&self) -> Settled {
        self.settle().unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn refused(&self) -> Vec<SettingError> {
        self.settle().expect_err("these settings must be refused").0
    }
}

fn file(text: &str) -> Layers<'_> {
    Layers { file: Some(text), ..Layers::default() }
}

fn listen(settled: &Settled) -> Vec<String> {
    settled.settings.listen.iter().map(ToString::to_string).collect()
}

#[test]
fn without_any_layer_there_are_defaults() {
    let settled = Layers::default().settled();
    assert_eq!(listen(&settled), ["127.0.0.1:8180"]);
    assert_eq!(settled.settings.http_listen.to_string(), "127.0.0.1:8181");
    assert_eq!(settled.settings.web_listen.to_string(), "127.0.0.1:8182");
    assert_eq!(settled.settings.on_forbid_error, OnForbidError::Deny);
    assert_eq!(settled.settings.policies, None);
    assert_eq!(settled.origin("listen"), Origin::Default);
}

#[test]
fn a_later_layer_wins() {
    let text = "default_store = \"file\"";
    let variables: &[(&str, &str)] = &[("HUMBABA_DEFAULT_STORE", "variable")];
    let flags: &[(&str, &[&str])] = &[("default_store", &["flag"])];
    let file_only = file(text);
    let with_variable = Layers { variables, ..file(text) };
    let with_flag = Layers { variables, flags, ..file(text) };
    for (layers, name, origin) in [
        (&file_only, "file", Origin::File { path: "humbaba.toml".into(), line: 1 }),
        (&with_variable, "variable", Origin::Variable("HUMBABA_DEFAULT_STORE".into())),
        (&with_flag, "flag", Origin::Flag("--default_store".into())),
    ] {
        let settled = layers.settled();
        assert_eq!(settled.settings.default_store.as_ref().unwrap().as_str(), name);
        assert_eq!(settled.origin("default_store"), origin);
    }
}

#[test]
fn a_file_says_everything() {
    let settled = file(
        r#"
policies = "/policies"
listen = ["127.0.0.1:1", "unix:/run/humbaba.sock"]
http_listen = "off"
socket_mode = "0600"
on_forbid_error = "skip"

[reload]
require = ["tests", "no-gains"]
settle_ms = 250
rehash_interval_s = 5

[limits]
message_bytes = 1_024
batch_items = 0x10
depth = 3

[bounds]
policies = 7

[log]
filter = "humbaba=debug,warn"
format = "json"
"#,
    )
    .settled();
    let settings = &settled.settings;
    assert_eq!(settings.policies.as_deref(), Some(Path::new("/policies")));
    assert_eq!(listen(&settled), ["127.0.0.1:1", "unix:/run/humbaba.sock"]);
    assert_eq!(settings.http_listen.to_string(), "off");
    assert_eq!(settings.socket_mode.bits(), 0o600);
    assert_eq!(settings.on_forbid_error, OnForbidError::Skip);
    assert_eq!(settings.reload.require, [Gate::Tests, Gate::NoGains]);
    assert_eq!(settings.reload.settle, Duration::from_millis(250));
    assert_eq!(settings.reload.rehash_interval, Duration::from_secs(5));
    assert_eq!(settings.limits.message_bytes, NonZeroUsize::new(1_024).unwrap());
    assert_eq!(settings.limits.batch_items, NonZeroUsize::new(16).unwrap());
    assert_eq!(settings.limits.request.depth, 3);
    assert_eq!(settings.bounds.policies, 7);
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settled.origin("limits.depth").to_string(), "humbaba.toml:16");
}

#[test]
fn variables_say_everything_too() {
    let variables = [
        ("HUMBABA_LISTEN", "127.0.0.1:1, unix:/s"),
        ("HUMBABA_LIMITS__ENTITIES", "5"),
        ("HUMBABA_RELOAD__REQUIRE", "tests,invariants"),
        ("HUMBABA_LOG__FORMAT", "json"),
        ("HOME", "/root"),
        ("HUMBABA_SERVICE_HOST", "10.0.0.1"),
        ("HUMBABA_PORT", "tcp://10.0.0.1:8180"),
    ];
    let settled = Layers { variables: &variables, ..Layers::default() }.settled();
    assert_eq!(listen(&settled), ["127.0.0.1:1", "unix:/s"]);
    assert_eq!(settled.settings.limits.request.entities, 5);
    assert_eq!(settled.settings.reload.require, [Gate::Tests, Gate::Invariants]);
    assert_eq!(settled.settings.log.format, LogFormat::Json);
    let origin = settled.origin("limits.entities").to_string();
    assert_eq!(origin, "environment variable HUMBABA_LIMITS__ENTITIES");
}

#[test]
fn the_file_may_be_named_by_a_variable_and_a_flag_wins() {
    let variables = || [("HUMBABA_CONFIG".to_owned(), "of-variable".to_owned())];
    for (config, expected) in [(None, "of-variable"), (Some(Path::new("of-flag")), "of-flag")] {
        let settled = settle(&[], config, variables(), |path| {
            Ok(format!("default_store = \"{}\"", path.display()))
        });
        let name = settled.unwrap().settings.default_store.unwrap();
        assert_eq!(name.as_str(), expected);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    let errors = settle(&[], Some(Path::new("nowhere.toml")), [], |_| {
        Err(io::Error::from(io::ErrorKind::NotFound))
    });
    let text = errors.unwrap_err().to_string();
    assert!(text.contains("cannot read the configuration file `nowhere.toml`"), "{text}");
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_a_suggestion() {
    for (text, line, message, help) in [
        ("\nlisen = \"a\"", 2, "no setting is called `lisen`", "did you mean `listen`?"),
        (
            "[limits]\nentites = 1",
            2,
            "no setting is called `limits.entites`",
            "did you mean `limits.entities`?",
        ),
        (
            "settle_ms = 1",
            1,
            "no setting is called `settle_ms`",
            "did you mean `reload.settle_ms`?",
        ),
        (
            "limits = 5",
            1,
            "`limits` is a table",
            "write a line `[limits]` and the settings below it",
        ),
    ] {
        let errors = file(text).refused();
        let [SettingError::File(problem)] = errors.as_slice() else { panic!("{errors:?}") };
        assert_eq!(problem.location().unwrap().line, line, "{text}");
        assert_eq!(problem.message(), message);
        assert_eq!(problem.help(), Some(help));
        assert!(errors[0].to_string().contains("humbaba.toml"));
    }
    let errors = file("zebra = 1\n[colours]\na = 1\n[log]\nfilter = 1").refused();
    let lines: Vec<_> = errors
        .iter()
        .map(|error| match error {
            SettingError::File(problem) => problem.location().unwrap().line,
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(lines, [1, 2, 5]);
}

#[test]
fn unknown_variables_are_refused() {
    for (name, suggestion) in [
        ("HUMBABA_LISEN", "did you mean `HUMBABA_LISTEN`?"),
        ("HUMBABA_LIMITS_ENTITIES", "did you mean `HUMBABA_LIMITS__ENTITIES`?"),
        ("HUMBABA_LIMITS__ENTITES", "did you mean `HUMBABA_LIMITS__ENTITIES`?"),
        ("HUMBABA_COLOUR", "is no setting"),
    ] {
        let errors = Layers { variables: &[(name, "secret")], ..Layers::default() }.refused();
        let text = errors[0].to_string();
        assert!(text.contains(name) && text.contains(suggestion), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[test]
fn bad_values_are_refused_with_their_origin() {
    for (text, part) in [
        ("listen = 5", "an array of strings is expected, not an integer"),
        ("listen = []", "name at least one address"),
        ("listen = [\"nowhere\"]", "`nowhere` is not an address"),
        ("http_listen = \"unix:\"", "write `host:port`"),
        ("socket_mode = \"999\"", "`999` is not a mode"),
        ("default_store = \"No Store\"", "cannot name a policy store"),
        ("on_forbid_error = \"allow\"", "neither `deny` nor `skip`"),
        ("verify_sample = 1.01", "a share is expected: write a number from 0 (none) to 1 (all)"),
        ("verify_sample = 2", "a share is expected"),
        ("verify_sample = -0.5", "a share is expected"),
        ("verify_sample = nan", "a share is expected"),
        ("verify_sample = inf", "a share is expected"),
        ("verify_sample = 1e-12", "this share is too small"),
        ("verify_sample = \"0.5\"", "a number is expected, not a string"),
        ("verify_sample = true", "a number is expected, not a boolean"),
        ("[shadow]\nmax_share = 0", "a share of one processor is expected"),
        ("[shadow]\nmax_share = 2", "a share of one processor is expected"),
        ("[shadow]\nqueue_bytes = 0", "write 1 or more"),
        ("insecure = \"yes\"", "`true` or `false` is expected, not a string"),
        ("require_tests = true", "did you mean `reload.require`?"),
        ("[reload]\nrequire = [\"proofs\"]", "there are `tests`, `invariants` and `no-gains`"),
        ("[reload]\nfirst = \"yes\"", "neither `refuse` nor `trust`"),
        ("[limits]\nentities = -1", "a whole number of 0 or more is expected"),
        ("[limits]\nentities = 1.5", "a number is expected, not a float"),
        ("[limits]\nentities = 99999999999999999999", "a whole number"),
        ("[limits]\nmessage_bytes = 0", "write 1 or more"),
        ("[limits]\nrequest_timeout_ms = 0", "write 1 or more"),
        ("[reload]\nrehash_interval_s = 0", "write 1 or more"),
        ("[reload]\nrehash_interval_s = 31536001", "write 31536000 (a year) or less"),
        ("[shutdown]\ndrain_s = 9223372036854775807", "(a year) or less"),
        ("[log]\nfilter = \"humbaba=loud\"", "is not a filter"),
        ("[log]\nformat = \"xml\"", "neither `text` nor `json`"),
        ("listen = [", "humbaba.toml"),
        ("listen = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"", "duplicate key"),
    ] {
        let errors = file(text).refused();
        let shown = errors[0].to_string();
        assert!(shown.contains(part), "{text}\n{shown}");
        assert!(matches!(errors[0], SettingError::File(_)), "{text}");
    }
    let variables = [("HUMBABA_LIMITS__ENTITIES", "many"), ("HUMBABA_INSECURE", "1")];
    let errors = Layers { variables: &variables, ..Layers::default() }.refused();
    let shown: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert!(shown[0].contains("environment variable HUMBABA_INSECURE"), "{shown:?}");
    assert!(shown[1].contains("environment variable HUMBABA_LIMITS__ENTITIES"), "{shown:?}");
    assert!(shown[1].ends_with("is expected, not `many`"), "{shown:?}");
}

#[test]
fn two_settings_name_no_address_at_which_only_one_can_listen() {
    for (listen, http) in [
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("tls:127.0.0.1:1", "plain:127.0.0.1:1"),
        ("plain:0.0.0.0:1", "127.0.0.1:1"),
        ("[::1]:1", "plain:[::]:1"),
        ("127.0.0.1:1", "[::ffff:127.0.0.1]:1"),
        ("localhost:1", "LOCALHOST:1"),
        ("unix:/run/a.sock", "unix:/run/a.sock"),
    ] {
        let flags: &[(&str, &[&str])] = &[
            ("listen", &[listen]),
            ("http_listen", &[http]),
            ("tls.cert", &["a"]),
            ("tls.key", &["b"]),
            ("insecure", &["true"]),
        ];
        let errors = Layers { flags, ..Layers::default() }.refused();
        let shown = errors[0].to_string();
        assert!(shown.contains(&format!("is taken by `{listen}` of `listen`")), "{shown}");
    }
    let twice =
        Layers { flags: &[("listen", &["127.0.0.1:1", "127.0.0.1:1"])], ..Layers::default() };
    assert_eq!(twice.refused().len(), 1);
    for (listen, http) in [
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:1", "127.0.0.1:2"),
        ("127.0.0.1:1", "[::1]:1"),
        ("127.0.0.1:1", "127.0.0.2:1"),
        ("unix:/run/a.sock", "unix:/run/b.sock"),
    ] {
        let flags: &[(&str, &[&str])] = &[("listen", &[listen]), ("http_listen", &[http])];
        Layers { flags, ..Layers::default() }.settled();
    }
}

#[test]
fn the_path_of_a_socket_is_no_longer_than_the_system_allows() {
    let path = format!("/{}", "x".repeat(106));
    let refused = |key: &str, path: &str| {
        let address = format!("unix:{path}");
        let value: &[&str] = &[&address];
        let flags: &[(&str, &[&str])] = &[(key, value)];
        let settled = Layers { flags, ..Layers::default() }.settle();
        settled.err().map(|errors| errors.to_string())
    };
    for key in ["listen", "http_listen", "web_listen", "directory.listen"] {
        assert_eq!(refused(key, &path), None);
        let error = refused(key, &format!("{path}x")).unwrap();
        assert!(error.contains("has 108 bytes, which is too long"), "{error}");
    }
}

#[test]
fn a_store_has_one_directory() {
    let sources = |texts: &[&str]| {
        let texts: Vec<_> = texts.iter().map(|text| format!("{text:?}")).collect();
        format!("data = \"/data\"\n[directory]\nsources = [{}]", texts.join(", "))
    };
    file(&sources(&["main=embedded", "guard=files:/rows"])).settled();
    let errors = file(&sources(&["main=embedded", "guard=postgres", "main=files:/rows"])).refused();
    let shown = errors[0].to_string();
    assert!(shown.contains("`main=embedded` and `main=files:/rows` are for one store"), "{shown}");
}

#[test]
fn a_share_is_read_in_every_layer_and_printed_as_it_was_written() {
    let share = |settled: &Settled| f64::from(settled.settings.verify_sample);
    assert_eq!(share(&Layers::default().settled()), 0.0);
    for (written, meant) in [("0", 0.0), ("0.0", 0.0), ("0.01", 0.01), ("1e-3", 0.001), ("1", 1.0)]
    {
        let text = format!("verify_sample = {written}");
        let variables: &[(&str, &str)] = &[("HUMBABA_VERIFY_SAMPLE", written)];
        let flags: &[(&str, &[&str])] = &[("verify_sample", &[written])];
        for layers in [
            file(&text),
            Layers { variables, ..Layers::default() },
            Layers { flags, ..Layers::default() },
        ] {
            let settled = layers.settled();
            assert_eq!(share(&settled), meant, "{written}");
            assert_eq!(share(&file(&print(&settled)).settled()), meant, "{written}");
        }
    }
    for written in ["1.5", "-1", "all", "", "NaN", "0,5"] {
        let flags: &[(&str, &[&str])] = &[("verify_sample", &[written])];
        let shown = Layers { flags, ..Layers::default() }.refused()[0].to_string();
        assert!(shown.contains("a share is expected"), "{written}: {shown}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let layers = Layers {
        file: Some("lisen = 1\nsocket_mode = \"x\""),
        variables: &[("HUMBABA_COLOUR", "red")],
        flags: &[("limits.depth", &["deep"]), ("colour", &["red"])],
    };
    assert_eq!(layers.refused().len(), 5);
}

#[test]
fn addresses_beyond_this_machine_need_insecure() {
    for (key, address, refused) in [
        ("listen", "0.0.0.0:8180", true),
        ("listen", "[::]:8180", true),
        ("listen", "10.0.0.1:8180", true),
        ("listen", "example.org:8180", true),
        ("listen", "127.8.8.8:8180", false),
        ("listen", "[::1]:8180", false),
        ("listen", "[::ffff:127.0.0.1]:8180", false),
        ("listen", "localhost:8180", false),
        ("listen", "unix:/run/humbaba.sock", false),
        ("http_listen", "0.0.0.0:8181", true),
        ("http_listen", "off", false),
    ] {
        let flags: &[(&str, &[&str])] = &[(key, &[address])];
        match (Layers { flags, ..Layers::default() }.settle(), refused) {
            (Ok(_), false) => {}
            (Err(errors), true) => {
                assert!(matches!(errors.0.as_slice(), [SettingError::Insecure { .. }]));
                assert!(errors.to_string().contains("there is no TLS"), "{errors}");
            }
            (settled, _) => panic!("{address}: {settled:?}"),
        }
        let flags: &[(&str, &[&str])] = &[(key, &[address]), ("insecure", &["true"])];
        Layers { flags, ..Layers::default() }.settled();
    }
}

#[test]
fn addresses_say_or_imply_whether_tls_is_spoken() {
    for (address, has_certificate, insecure, spoken) in [
        ("0.0.0.0:1", true, false, Some(true)),
        ("0.0.0.0:1", true, true, Some(true)),
        ("0.0.0.0:1", false, true, Some(false)),
        ("127.0.0.1:1", true, false, Some(false)),
        ("tls:127.0.0.1:1", true, false, Some(true)),
        ("tls:[::1]:1", true, false, Some(true)),
        ("plain:0.0.0.0:1", true, true, Some(false)),
        ("plain:0.0.0.0:1", true, false, None),
        ("tls:0.0.0.0:1", false, true, None),
        ("tls:1", false, true, Some(false)),
    ] {
        let mut flags: Vec<(&str, &[&str])> = vec![("listen", std::slice::from_ref(&address))];
        if has_certificate {
            flags.extend([("tls.cert", &["tls.crt"][..]), ("tls.key", &["tls.key"])]);
        }
        if insecure {
            flags.push(("insecure", &["true"]));
        }
        let settled = Layers { flags: &flags, ..Layers::default() }.settle().ok();
        let found = settled.map(|settled| match &settled.settings.listen[0] {
            ListenAddress::Tcp(tcp) => {
                assert_eq!(tcp.to_string(), address);
                settled.settings.speaks_tls(tcp)
            }
            ListenAddress::Unix(_) => panic!("{address}"),
        });
        assert_eq!(found, spoken, "{address} {has_certificate} {insecure}");
    }
}

#[test]
fn client_ids_are_a_list() {
    let text = "[tls]\ncert = \"a\"\nkey = \"b\"\nclient_ca = \"c\"\n\
                client_ids = [\"web.example.org\", \"spiffe://example.org/*\"]\n";
    let settled = file(text).settled();
    let ids: Vec<_> = settled.settings.tls.client_ids.iter().map(ToString::to_string).collect();
    assert_eq!(ids, ["web.example.org", "spiffe://example.org/*"]);
    let again = file(&print(&settled)).settled();
    assert_eq!(format!("{:?}", again.settings), format!("{:?}", settled.settings));
}

#[test]
fn what_is_printed_is_a_file_that_says_the_same() {
    let text = "default_store = \"hitkeep\"\n[limits]\ndepth = 3\n";
    let flags: &[(&str, &[&str])] =
        &[("listen", &["127.0.0.1:0", "unix:/a \"b\".sock"]), ("log.filter", &["warn"])];
    let variables = [("HUMBABA_BOUNDS__FILES", "12")];
    let settled = Layers { file: Some(text), variables: &variables, flags }.settled();
    let printed = print(&settled);
    for part in [
        "# humbaba.toml:1:",
        "# humbaba.toml:3:",
        "# environment variable HUMBABA_BOUNDS__FILES:",
        "# flag --listen:",
        "# default:",
    ] {
        assert!(printed.contains(part), "no `{part}` in\n{printed}");
    }
    let again = file(&printed).settled();
    assert_eq!(format!("{:?}", again.settings), format!("{:?}", settled.settings));
    let values = |text: &str| -> BTreeMap<String, toml::Value> { toml::from_str(text).unwrap() };
    assert_eq!(values(&print(&again)), values(&printed));
}

#[test]
fn a_setting_without_effect_is_warned_of_at_the_start_and_by_doctor() {
    let folder = crate::cli::policies(&["one"]);
    let log = folder.path().join("decisions.jsonl");
    let log = log.to_str().unwrap();
    for (set, key, without) in [
        (["--decision-log-file", log], "decision_log.file", &["--decision-log=on"][..]),
        (["--set", "reload.first=trust"], "reload.first", &["--require", "no-gains"]),
    ] {
        let sidecar = crate::cli_sidecar::Sidecar::start(folder.path(), &set);
        let told = sidecar.log();
        let told = told.lines().find(|line| line.contains("a setting has no effect"));
        let told = told.unwrap_or_else(|| panic!("{}", sidecar.log()));
        assert!(told.contains("WARN") && told.contains(key), "{told}");
        let policies = ["doctor", "--policies", folder.path().to_str().unwrap()];
        let listen = ["--listen", "127.0.0.1:0", "--http-listen", "off", "--web-listen", "off"];
        let doctor =
            |more: &[&str]| crate::cli::run(&[&policies[..], &listen, &set, more].concat()).out;
        let found = doctor(&[]);
        let line = found.lines().find(|line| line.contains(&format!("`{key}` has no effect")));
        assert!(line.is_some_and(|line| line.starts_with("warning")), "{found}");
        assert!(!doctor(without).contains("has no effect"));
    }
}
