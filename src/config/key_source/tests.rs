use super::*;
use crate::config::{ConfigError, Settings};

/// A home with this table as its chain's key, which stands in line 3.
fn settings(key: &str) -> Result<Settings, ConfigError> {
    let text = format!("[[chain]]\nid = \"c\"\nkey = {{ {key} }}\n");
    Settings::parse(&text, Path::new("/h/cosigner.toml"), Path::new("/h"))
}

fn source(key: &str) -> Source {
    match settings(key).unwrap_or_else(|error| panic!("{key}: {error}")).chains.remove(0).key {
        KeySource::Whole(source) => source,
        KeySource::Threshold => panic!("{key}"),
    }
}

#[track_caller]
fn refused(key: &str, says: &[&str]) -> String {
    let text = settings(key).err().unwrap_or_else(|| panic!("{key} is taken")).to_string();
    assert!(text.starts_with("/h/cosigner.toml:3: "), "{key}: {text}");
    for word in says {
        assert!(text.contains(word), "{key}: no {word:?} in {text}");
    }
    text
}

const TOKEN: &str = "backend = \"pkcs11\", module = \"/m.so\"";

#[test]
fn reads_a_key_file_inside_and_outside_the_home() {
    for (path, found) in [("key.json", "/h/key.json"), ("/k/key.json", "/k/key.json")] {
        let read = source(&format!("backend = \"file\", path = \"{path}\""));
        assert_eq!(
            read,
            Source::File(FileSource { algorithm: Algorithm::Ed25519, path: found.into() })
        );
    }
}

#[test]
fn reads_every_way_to_name_a_token_a_key_and_a_pin() {
    let read = source(
        "backend = \"pkcs11\", module = \"m.so\", token_label = \"t\", key_label = \"k\", pin_file = \"pin\"",
    );
    let expected = Pkcs11Source {
        algorithm: Algorithm::Ed25519,
        module: "/h/m.so".into(),
        token: Token::Label("t".to_owned()),
        key_label: Some("k".to_owned()),
        key_id: None,
        pin: Pin::File("/h/pin".into()),
    };
    assert_eq!(read, Source::Pkcs11(expected));
    let read = source(&format!(
        "{TOKEN}, slot = 0, key_label = \"k\", key_id = \"01fF\", pin_env = \"A_1\""
    ));
    let expected = Pkcs11Source {
        algorithm: Algorithm::Ed25519,
        module: "/m.so".into(),
        token: Token::Slot(0),
        key_label: Some("k".to_owned()),
        key_id: Some(vec![1, 255]),
        pin: Pin::Env("A_1".to_owned()),
    };
    assert_eq!(read, Source::Pkcs11(expected));
    let Source::Pkcs11(read) =
        source(&format!("{TOKEN}, slot = 9, key_id = \"01\", pin = \"12 34\""))
    else {
        panic!();
    };
    assert_eq!(read.pin, Pin::Inline(Zeroizing::new("12 34".to_owned())));
    assert!(!format!("{read:?}").contains("12 34"));
}

#[test]
fn reads_a_key_of_aws_with_what_is_said_and_no_more() {
    let bare = AwsKmsSource {
        algorithm: Algorithm::Ed25519,
        key_id: "alias/validator".to_owned(),
        region: None,
        profile: None,
        endpoint: None,
    };
    assert_eq!(
        source("backend = \"awskms\", key_id = \"alias/validator\""),
        Source::AwsKms(bare.clone())
    );
    let full = AwsKmsSource {
        region: Some("us-east-1".to_owned()),
        profile: Some("p".to_owned()),
        endpoint: Some("http://127.0.0.1:4566".to_owned()),
        ..bare
    };
    let read = source(
        "backend = \"awskms\", key_id = \"alias/validator\", region = \"us-east-1\", profile = \"p\", \
         endpoint = \"http://127.0.0.1:4566\"",
    );
    assert_eq!(read, Source::AwsKms(full));
}

#[test]
fn reads_the_algorithm_of_a_whole_key_in_both_spellings() {
    let file = "backend = \"file\", path = \"k\"";
    let kms = "backend = \"awskms\", key_id = \"k\"";
    let token = &format!("{TOKEN}, slot = 1, key_label = \"k\", pin_env = \"A\"");
    for backend in [file, kms, token] {
        assert_eq!(source(backend).algorithm(), Algorithm::Ed25519);
        for algorithm in Algorithm::ALL {
            let text = format!("{backend}, algorithm = \"{algorithm}\"");
            if algorithm == Algorithm::MlDsa65 && backend != file {
                refused(&text, &["ml_dsa_65", "used from a file", "backend = \"file\""]);
                continue;
            }
            let read = source(&text);
            assert_eq!(read.algorithm(), algorithm);
            // As it is written and shown, it is read again.
            let shown = render(&KeySource::Whole(read.clone()), ShowPin::InFull);
            assert_eq!(source(shown.trim_matches(['{', '}', ' '])), read);
            let said = algorithm != Algorithm::Ed25519;
            assert_eq!(shown.contains("algorithm"), said, "{}", *shown);
        }
    }
    let read = source(&format!("{file}, algorithm = \"mldsa65\""));
    assert_eq!(read.algorithm(), Algorithm::MlDsa65);
    refused(&format!("{file}, algorithm = \"rsa\""), &["`algorithm`", "secp256k1eth", "\"rsa\""]);
    refused(&format!("{file}, algorithm = 1"), &["`algorithm` is a string"]);
}

#[test]
fn a_key_that_is_split_is_ed25519() {
    let threshold = "backend = \"threshold\", algorithm =";
    for algorithm in ["secp256k1", "secp256k1eth", "ml_dsa_65", "mldsa65"] {
        let says = ["only Ed25519 keys can be split", "whole key", "cluster around it"];
        refused(&format!("{threshold} \"{algorithm}\""), &says);
    }
    // Said in full, and then refused for being alone.
    let text = settings(&format!("{threshold} \"ed25519\"")).unwrap_err().to_string();
    assert!(text.contains("needs a [node]"), "{text}");
}

#[test]
fn names_the_backends_that_there_are() {
    let four = ["file", "pkcs11", "awskms", "threshold"];
    refused("backend = \"vault\"", &[&["\"vault\""], four.as_slice()].concat());
    refused("path = \"x\"", &[&["needs a `backend`"], four.as_slice()].concat());
    refused("backend = 1", &["needs a `backend`"]);
}

#[test]
fn refuses_fields_of_other_backends_and_misspelt_ones_with_the_likely_meaning() {
    refused(
        "backend = \"file\", path = \"x\", module = \"y\"",
        &["file has no `module`", "it takes `path`"],
    );
    refused("backend = \"threshold\", path = \"x\"", &["threshold has no `path`", "nothing more"]);
    refused("backend = \"file\", pth = \"x\"", &["no `pth`", "did you mean `path`?"]);
    refused(
        "backend = \"awskms\", key_label = \"x\"",
        &["`key_id`, `region`, `profile`, `endpoint` and `algorithm`"],
    );
    refused(&format!("{TOKEN}, pins = \"98765\""), &["did you mean `pin`?"]);
}

#[test]
fn names_the_line_of_the_field_that_is_wrong() {
    let text =
        "[[chain]]\nid = \"c\"\n[chain.key]\nbackend = \"file\"\npath = \"x\"\nregion = \"y\"\n";
    let refused = Settings::parse(text, Path::new("f"), Path::new("/"));
    let text = refused.unwrap_err().to_string();
    assert!(text.starts_with("f:6: the backend file has no `region`"), "{text}");
}

#[test]
fn refuses_what_is_missing() {
    refused("backend = \"file\"", &["file needs `path`"]);
    refused("backend = \"pkcs11\", slot = 1", &["pkcs11 needs `module`"]);
    refused("backend = \"awskms\", region = \"x\"", &["awskms needs `key_id`"]);
    refused(&format!("{TOKEN}, slot = 1, pin = \"1\""), &["needs `key_label` or `key_id`"]);
    refused("backend = \"file\", path = \"\"", &["`path` is empty"]);
    refused("backend = \"awskms\", key_id = \"k\", profile = \"\"", &["`profile` is empty"]);
}

#[test]
fn refuses_two_tokens_and_two_pins_and_none() {
    let rest = "key_label = \"k\", pin = \"98765\"";
    let token = ["exactly one of `token_label` and `slot`"];
    refused(&format!("{TOKEN}, {rest}"), &[token.as_slice(), &["found none"]].concat());
    let both = refused(&format!("{TOKEN}, {rest}, slot = 1, token_label = \"t\""), &token);
    assert!(both.ends_with("found `token_label` and `slot`"), "{both}");
    let rest = "key_label = \"k\", slot = 1";
    let pin = ["exactly one of `pin`, `pin_env` and `pin_file`"];
    refused(&format!("{TOKEN}, {rest}"), &[pin.as_slice(), &["found none"]].concat());
    for (pins, found) in [
        ("pin = \"98765\", pin_env = \"A\"", "found `pin` and `pin_env`"),
        ("pin_env = \"A\", pin_file = \"f\"", "found `pin_env` and `pin_file`"),
        ("pin = \"98765\", pin_file = \"f\"", "found `pin` and `pin_file`"),
    ] {
        let text = refused(&format!("{TOKEN}, {rest}, {pins}"), &pin);
        assert!(text.ends_with(found) && !text.contains("98765"), "{text}");
    }
}

#[test]
fn refuses_values_that_cannot_be_meant() {
    let rest = "pin_env = \"A\", key_label = \"k\"";
    refused(&format!("{TOKEN}, {rest}, slot = -1"), &["`slot`", "from 0", "-1"]);
    refused(&format!("{TOKEN}, {rest}, slot = \"1\""), &["`slot` is a number, found string"]);
    refused("backend = \"file\", path = 7", &["`path` is a string, found integer"]);
    for wrong in ["0", "xyz", "0x01"] {
        let key = format!("{TOKEN}, slot = 1, pin_env = \"A\", key_id = \"{wrong}\"");
        refused(&key, &["`key_id`", "hexadecimal", wrong]);
    }
    let kms = "backend = \"awskms\", key_id = \"k\"";
    for wrong in ["us east 1", "US-EAST-1", "a/b", "a.b"] {
        refused(&format!("{kms}, region = \"{wrong}\""), &["`region`", "us-east-1", wrong]);
    }
    for wrong in ["http://kms.example", "kms.example", "ftp://a"] {
        refused(&format!("{kms}, endpoint = \"{wrong}\""), &["`endpoint`", wrong, "https://"]);
    }
}

/// Whatever is wrong about a PIN, and wherever it was written by mistake, nothing shows it.
#[test]
fn no_refusal_shows_what_may_be_a_pin() {
    let rest = "slot = 1, key_label = \"k\"";
    for pin in [
        "pin = 98765",
        "pin = [\"98765\"]",
        "pin_env = \"98765\"",
        "pin_env = \"98765-a\"",
        "pin_env = 98765",
        "pin_file = 98765",
        "pni = \"98765\"",
        "pin = \"98765\", pin_env = \"98765\"",
        "pin = \"98765\", slott = 1",
    ] {
        let text = refused(&format!("{TOKEN}, {rest}, {pin}"), &[]);
        assert!(!text.contains("98765"), "{text}");
    }
    let text = refused(&format!("{TOKEN}, {rest}, pin_env = \"98765\""), &["names an environment"]);
    assert!(text.contains("`pin_env`"), "{text}");
}

#[test]
fn flags_are_checked_alike_and_named_as_flags() {
    let fields = |backend: &str, values: &[(&str, &str)]| {
        let value =
            |(name, value): &(&str, &str)| ((*name).to_owned(), Value::String((*value).to_owned()));
        let values = values.iter().map(value).collect();
        KeyFields::new(backend, values, Spelling::Flags).source(Path::new("/w"))
    };
    let text = |backend: &str, values: &[(&str, &str)]| {
        fields(backend, values).unwrap_err().error.to_string()
    };
    let found = fields("file", &[("path", "k")]).unwrap();
    assert_eq!(
        found,
        KeySource::Whole(Source::File(FileSource {
            algorithm: Algorithm::Ed25519,
            path: "/w/k".into()
        }))
    );
    assert_eq!(text("file", &[]), "the backend file needs --path");
    let foreign = text("file", &[("path", "k"), ("token_label", "t")]);
    assert_eq!(foreign, "the backend file has no --token-label; it takes --path and --algorithm");
    let pin = text("pkcs11", &[("module", "m"), ("token_label", "t"), ("key_label", "k")]);
    assert_eq!(pin, "the backend pkcs11 takes exactly one of --pin-env and --pin-file; found none");
}
