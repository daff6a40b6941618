use std::time::Duration;

use super::*;
use crate::config::GiveUp;
use crate::types::{Algorithm, CertificatePin, ClusterKey, Member, PublicKey};

const WHOLE: &str = r#"
[node]
id = 1
listen = "0.0.0.0:2222"
addresses = { 2 = "10.0.0.99:2222" }

[ops]
listen = ""

[log]
level = "debug"
format = "json"

[[chain]]
id = "cosmoshub-4"
key = { backend = "threshold" }
give_up_after = "never"

[[chain]]
id = "osmosis-1"
key = { backend = "threshold" }

[[validator]]
chain_id = "cosmoshub-4"
address = "tcp://10.0.0.1:26659"

[[validator]]
chain_id = "cosmoshub-4"
address = "unix://run/privval.sock"
"#;

const SMALL: &str = "[node]\nid = 1\nlisten = \"0.0.0.0:2222\"\n\
                     [[chain]]\nid = \"c\"\nkey = { backend = \"threshold\" }\n";

fn parse(text: &str) -> Result<Settings, ConfigError> {
    Settings::parse(text, Path::new("/h/cosigner.toml"), Path::new("/h"))
}

fn refusal(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn reads_every_key_of_the_documented_file() {
    let settings = parse(WHOLE).unwrap();
    let node = settings.node.as_ref().unwrap();
    assert_eq!(node.id.get(), 1);
    let moved = node.addresses.get(&MemberId::new(2).unwrap()).unwrap();
    assert_eq!(moved.to_string(), "10.0.0.99:2222");
    assert_eq!(settings.ops_listen, None);
    assert_eq!(settings.log.level.as_str(), "debug");
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.chains[0].give_up_after, GiveUp::Never);
    assert_eq!(settings.chains[1].give_up_after, GiveUp::After(Duration::from_secs(3)));
    let sockets: Vec<String> = settings.validators.iter().map(|v| v.address.to_string()).collect();
    assert_eq!(sockets, ["tcp://10.0.0.1:26659", "unix:///h/run/privval.sock"]);
}

#[test]
fn fills_in_what_is_not_said() {
    let settings = parse(SMALL).unwrap();
    assert_eq!(settings.ops_listen, Some(DEFAULT_OPS.parse().unwrap()));
    assert_eq!(settings.log.level.as_str(), "info");
    assert_eq!(settings.log.format, LogFormat::Text);
    assert!(settings.validators.is_empty());
}

#[test]
fn refuses_extensions_of_v2_where_the_chain_does_not_say_v2() {
    let text = refusal(&format!("{SMALL}non_rp_extensions = true\n"));
    assert!(text.starts_with("/h/cosigner.toml:7: chain c has non_rp_extensions"), "{text}");
    let text = refusal(&format!("{SMALL}privval_version = \"v3\"\n"));
    assert!(text.contains("\"v2\""), "{text}");
}

#[test]
fn refuses_unknown_keys_with_the_line_and_the_likely_meaning() {
    let text = refusal(&SMALL.replace("listen =", "listn ="));
    assert!(text.starts_with("/h/cosigner.toml:3: unknown field `listn`"), "{text}");
    assert!(text.ends_with("did you mean `listen`?"), "{text}");
    let text = refusal(&SMALL.replace("[[chain]]", "witness_dir = \"/run\"\n[[chain]]"));
    assert!(text.starts_with("/h/cosigner.toml:4: unknown field `witness_dir`"), "{text}");
}

#[test]
fn a_node_alone_has_no_share_and_no_member_list() {
    let alone = SMALL.replace("[node]\nid = 1\nlisten = \"0.0.0.0:2222\"\n", "");
    let text = refusal(&alone);
    assert!(text.starts_with("/h/cosigner.toml:3: chain c has key"), "{text}");
    assert!(text.contains("needs a [node]"), "{text}");
    let whole = alone.replace("\"threshold\"", "\"file\", path = \"k\"");
    let settings = parse(&whole).unwrap();
    assert!(settings.node.is_none());
    assert_eq!(settings.chains[0].public_key, None);
}

#[test]
fn a_member_whose_node_is_gone_does_not_sign_alone() {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::new(directory.path());
    let text = "[[chain]]\nid = \"c\"\nkey = { backend = \"file\", path = \"k\" }\n";
    std::fs::write(home.cosigner_toml(), text).unwrap();
    Settings::read(&home, &Overrides::default()).unwrap();
    std::fs::write(home.cluster_toml(), "").unwrap();
    let refused = Settings::read(&home, &Overrides::default());
    assert!(matches!(refused, Err(ConfigError::MemberAlone { .. })), "{refused:?}");
}

#[test]
fn a_whole_key_may_be_pinned_and_a_split_one_not() {
    let key = "key = { backend = \"threshold\" }\n";
    let pinned = |key: &str, value: &str| {
        parse(&SMALL.replace(
            "key = { backend = \"threshold\" }\n",
            &format!("{key}public_key = {value}\n"),
        ))
    };
    let whole = "key = { backend = \"file\", path = \"k\" }\n";
    let base64 = "\"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\"";
    let settings = pinned(whole, base64).unwrap();
    assert_eq!(settings.chains[0].public_key, Some(PublicKey::ed25519([9; 32])));
    let refused = pinned(key, base64);
    assert!(matches!(refused, Err(ConfigError::PinnedShares { line: 7, .. })), "{refused:?}");
    for (wrong, says) in [
        ("\"CQk=\"", "has 32 bytes, not 2"),
        ("\"???\"", "a public key in base64"),
        ("\"\"", "has 32 bytes, not 0"),
        ("7", "a string"),
    ] {
        let text = pinned(whole, wrong).unwrap_err().to_string();
        assert!(text.starts_with("/h/cosigner.toml:7: "), "{text}");
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn a_pinned_key_is_read_with_the_algorithm_of_the_key() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    // The curve's generator.
    let point = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    let point = hex::decode(point).unwrap();
    let pinned = |algorithm: Algorithm, bytes: &[u8]| {
        parse(&SMALL.replace(
            "key = { backend = \"threshold\" }\n",
            &format!(
                "key = {{ backend = \"file\", path = \"k\", algorithm = \"{algorithm}\" }}\n\
                 public_key = \"{}\"\n",
                BASE64.encode(bytes)
            ),
        ))
    };
    for algorithm in Algorithm::ALL {
        let bytes = vec![2; algorithm.public_key_bytes()];
        let expected = PublicKey::new(algorithm, bytes.clone()).unwrap();
        let settings = pinned(algorithm, &bytes).unwrap();
        assert_eq!(settings.chains[0].public_key, Some(expected));
        let text = pinned(algorithm, &[2; 40]).unwrap_err().to_string();
        assert!(text.starts_with("/h/cosigner.toml:7: public_key: "), "{text}");
        assert!(text.contains(algorithm.name()) && text.contains("not 40"), "{text}");
    }
    // As v2 shows it.
    let key = PublicKey::new(Algorithm::Secp256k1Eth, point).unwrap();
    let settings = pinned(Algorithm::Secp256k1Eth, &key.uncompressed().unwrap()).unwrap();
    assert_eq!(settings.chains[0].public_key, Some(key));
}

#[test]
fn refuses_another_algorithm_than_the_member_list_has() {
    let members = (1..=3).map(|n: u8| Member {
        id: MemberId::new(n.into()).unwrap(),
        address: format!("10.0.0.{n}:2222"),
        certificate: CertificatePin([n; 32]),
    });
    let key = ClusterKey {
        chain: ChainId::new("c").unwrap(),
        public_key: PublicKey::new(Algorithm::Secp256k1Eth, vec![2; 33]).unwrap(),
        threshold: None,
        generation: 1,
        verifying_shares: BTreeMap::new(),
    };
    let cluster = Cluster::new(1, members.collect(), vec![key]).unwrap();
    let against = |algorithm: &str| {
        let text = format!(
            "[node]\nid = 1\nlisten = \"0.0.0.0:2222\"\n[[chain]]\nid = \"c\"\n\
             key = {{ backend = \"file\", path = \"k\"{algorithm} }}\n"
        );
        parse(&text).unwrap().check_against(&cluster, Path::new("/h/cosigner.toml"))
    };
    against(", algorithm = \"secp256k1eth\"").unwrap();
    for (algorithm, name) in [("", "ed25519"), (", algorithm = \"secp256k1\"", "secp256k1")] {
        let text = against(algorithm).unwrap_err().to_string();
        let set = format!("algorithm = \"{name}\"");
        assert!(text.contains(&set) && text.contains("set algorithm = \"secp256k1eth\""), "{text}");
    }
}

#[test]
fn refuses_another_public_key_or_kind_than_the_member_list_has() {
    let member = |n: u8| Member {
        id: MemberId::new(n.into()).unwrap(),
        address: format!("10.0.0.{n}:2222"),
        certificate: CertificatePin([n; 32]),
    };
    let key = ClusterKey {
        chain: ChainId::new("c").unwrap(),
        public_key: PublicKey::ed25519([9; 32]),
        threshold: None,
        generation: 1,
        verifying_shares: BTreeMap::new(),
    };
    let cluster = Cluster::new(1, [1, 2].map(member).to_vec(), vec![key]).unwrap();
    let mut settings = parse(&SMALL.replace("threshold\"", "file\", path = \"k\"")).unwrap();
    let check = |settings: &Settings| settings.check_against(&cluster, Path::new("f"));
    check(&settings).unwrap();
    settings.chains[0].public_key = Some(PublicKey::ed25519([9; 32]));
    check(&settings).unwrap();
    settings.chains[0].public_key = Some(PublicKey::ed25519([8; 32]));
    let refused = check(&settings);
    assert!(matches!(refused, Err(ConfigError::OtherKey { .. })), "{refused:?}");
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("CAgICAg") && text.contains("CQkJCQk"), "{text}");
    let refused = check(&parse(SMALL).unwrap());
    assert!(matches!(refused, Err(ConfigError::OtherKind { split: false, .. })), "{refused:?}");
    let refused = check(&parse(&SMALL.replace("\"c\"", "\"d\"")).unwrap());
    assert!(matches!(refused, Err(ConfigError::NoKey { .. })), "{refused:?}");
}

#[test]
fn refuses_wrong_values_where_they_stand() {
    let cases = [
        ("id = 1", "id = 0", ":2: ", "1 to 15"),
        ("id = 1", "id = 16", ":2: ", "16"),
        ("0.0.0.0:2222", "2222", ":3: ", "ip:port"),
        ("id = \"c\"", "id = \"\"", ":5: ", "empty"),
    ];
    for (from, to, line, says) in cases {
        let text = refusal(&SMALL.replacen(from, to, 1));
        assert!(text.contains(line) && text.contains(says), "{to}: {text}");
    }
    for (extra, says) in [
        ("[log]\nlevel = \"loud\"\n", "no log level"),
        ("[log]\nformat = \"xml\"\n", "no log format"),
        ("[ops]\nlisten = \"x\"\n", "ip:port"),
        ("[[validator]]\nchain_id = \"c\"\naddress = \"noise://x@a:1\"\n", "is no peer id"),
        ("[noise]\nidentify = \"a\"\n", "did you mean `identity`?"),
        ("[[validator]]\nchain_id = \"d\"\naddress = \"tcp://a:1\"\n", "no [[chain]]"),
        ("[[chain]]\nid = \"c\"\nkey = { backend = \"threshold\" }\n", "a second time"),
    ] {
        let text = refusal(&format!("{SMALL}{extra}"));
        assert!(text.contains(says), "{extra}: {text}");
    }
    let text = refusal(&format!("{SMALL}height_jump = {{ most = 5, per_second = 0 }}\n"));
    assert!(text.contains(":7: ") && text.contains("a number from 1"), "{text}");
    let none = "[node]\nid = 1\nlisten = \"0.0.0.0:2222\"\n";
    assert!(matches!(parse(none), Err(ConfigError::NoChain { .. })));
}

#[test]
fn refuses_one_validator_address_twice() {
    let validator = "[[validator]]\nchain_id = \"c\"\naddress = \"tcp://a:1\"\n";
    let refused = parse(&format!("{SMALL}{validator}{validator}"));
    assert!(matches!(refused, Err(ConfigError::SameValidator { line: 11, .. })), "{refused:?}");
}

#[test]
fn flags_win_over_the_file() {
    let mut settings = parse(SMALL).unwrap();
    let overrides = Overrides {
        validators: vec!["tcp://b:2".parse().unwrap(), "unix://s".parse().unwrap()],
        ops_listen: Some("127.0.0.1:9".parse().unwrap()),
        log_level: Some("warn".parse().unwrap()),
        log_format: Some(LogFormat::Json),
    };
    settings.lay_over(&overrides, Path::new("/h")).unwrap();
    let sockets: Vec<String> = settings.validators.iter().map(|v| v.address.to_string()).collect();
    assert_eq!(sockets, ["tcp://b:2", "unix:///h/s"]);
    assert_eq!(settings.ops_listen, Some("127.0.0.1:9".parse().unwrap()));
    assert_eq!(settings.log.level.as_str(), "warn");
    assert_eq!(settings.log.format, LogFormat::Json);
}

#[test]
fn a_validator_flag_does_not_guess_among_several_chains() {
    let mut settings = parse(WHOLE).unwrap();
    let overrides =
        Overrides { validators: vec!["tcp://b:2".parse().unwrap()], ..Overrides::default() };
    let refused = settings.lay_over(&overrides, Path::new("/h"));
    assert!(matches!(refused, Err(ConfigError::WhichChain { chains: 2 })));
}

const VALIDATOR: &str = "[[validator]]\nchain_id = \"c\"\naddress = \"tcp://a:1\"\n";

#[test]
fn refuses_a_misspelt_key_in_every_table_with_its_line_and_what_was_meant() {
    let height_jump = "height_jump = { mst = 1 }\n";
    let pkcs11 = "key = { backend = \"pkcs11\", module = \"m\", tokn_label = \"a\" }";
    let whole = SMALL.replace("key = { backend = \"threshold\" }", pkcs11);
    for (text, line, found, meant) in [
        (format!("{SMALL}[lgo]\nlevel = \"info\"\n"), 7, "lgo", "log"),
        (SMALL.replace("listen =", "lisen ="), 3, "lisen", "listen"),
        (format!("{SMALL}[ops]\nlisten = \"\"\nlistenn = \"\"\n"), 9, "listenn", "listen"),
        (format!("{SMALL}[log]\nlevl = \"info\"\n"), 8, "levl", "level"),
        (format!("{SMALL}giveup_after = \"3s\"\n"), 7, "giveup_after", "give_up_after"),
        (format!("{SMALL}{height_jump}"), 7, "mst", "most"),
        (whole, 6, "tokn_label", "token_label"),
        (format!("{SMALL}{VALIDATOR}chain-id = \"c\"\n"), 10, "chain-id", "chain_id"),
    ] {
        let refusal = refusal(&text);
        assert!(refusal.starts_with(&format!("/h/cosigner.toml:{line}: ")), "{text}\n{refusal}");
        assert!(refusal.contains(&format!("`{found}`")), "{text}\n{refusal}");
        assert!(refusal.ends_with(&format!("did you mean `{meant}`?")), "{text}\n{refusal}");
    }
}

#[test]
fn says_of_a_wrong_value_its_line_its_key_and_what_is_allowed() {
    for (text, line, key, allowed) in [
        (SMALL.replace("id = 1", "id = 16"), 2, "id", "1 to 15"),
        (SMALL.replace("id = 1", "id = \"one\""), 2, "id", "a member id, 1 to 15"),
        (SMALL.replace("\"0.0.0.0:2222\"", "2222"), 3, "listen", "ip:port"),
        (SMALL.replace("\"0.0.0.0:2222\"", "true"), 3, "listen", "ip:port"),
        (SMALL.replace("\"0.0.0.0:2222\"", "[]"), 3, "listen", "expected a string"),
        (format!("{SMALL}[log]\nlevel = 3\n"), 8, "level", "error, warn, info, debug or trace"),
        (format!("{SMALL}[log]\nformat = \"xml\"\n"), 8, "format", "\"text\" or \"json\""),
        (format!("{SMALL}[ops]\nlisten = \":2223\"\n"), 8, "listen", "ip:port"),
        (format!("{SMALL}give_up_after = 3\n"), 7, "give_up_after", "\"3s\""),
        (format!("{SMALL}give_up_after = \"2h\"\n"), 7, "give_up_after", "\"never\""),
        (format!("{SMALL}give_up_after = \"61m\"\n"), 7, "give_up_after", "1ms to 1h"),
        (format!("{SMALL}privval_version = 2\n"), 7, "privval_version", "\"v2\""),
        (format!("{SMALL}non_rp_extensions = 1\n"), 7, "non_rp_extensions", "expected a boolean"),
        (format!("{SMALL}raw_bytes = true\n"), 7, "raw_bytes", "celestia"),
        (format!("{SMALL}height_jump = 5\n"), 7, "height_jump", "{ most = 10000"),
        (format!("{SMALL}height_jump = {{ most = -1 }}\n"), 7, "most", "a number, 0 or more"),
        (
            format!("{SMALL}height_jump = {{ per_second = 4294967296 }}\n"),
            7,
            "per_second",
            "a number from 1 to 4294967295",
        ),
        (format!("{SMALL}bech32_prefix = \"Cosmos\"\n"), 7, "bech32_prefix", "lower-case"),
        (format!("{SMALL}{}", VALIDATOR.replace("tcp://", "")), 9, "address", "tcp://"),
    ] {
        let refusal = refusal(&text);
        let begin = format!("/h/cosigner.toml:{line}: `{key}`: ");
        assert!(refusal.starts_with(&begin), "{text}\n{refusal}");
        assert!(refusal.contains(allowed), "{text}\n{refusal}");
    }
}

#[test]
fn says_how_a_table_is_written_where_it_is_none() {
    let text = refusal(&SMALL.replace("[[chain]]", "[chain]"));
    assert!(text.contains("two brackets, as in [[chain]]"), "{text}");
    let text = refusal("log = 3\n");
    assert!(text.starts_with("/h/cosigner.toml:1: `log`: "), "{text}");
    assert!(text.contains("a table [log]"), "{text}");
}
