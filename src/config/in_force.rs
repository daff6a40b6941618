//! The settings one by one, for `config show`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use super::key_source::{ShowPin, render};
use super::text::quoted;
use super::{ConfigError, Home, KeySource, LogFormat, Overrides, ServiceSettings, Settings};

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// Its table and key in `cosigner.toml`, joined by dots.
    pub key: String,
    /// Its value as TOML writes it.
    pub value: String,
    /// Whether the file says something here. A flag or a variable may have won over it.
    pub in_file: bool,
}

/// Every setting of this home as it is in force, in the order of the file's tables.
///
/// # Errors
/// [`ConfigError`] as for [`Settings::read`].
pub fn in_force(home: &Home, overrides: &Overrides) -> Result<Vec<InForce>, ConfigError> {
    let file = home.cosigner_toml();
    let text = std::fs::read_to_string(&file).map(Zeroizing::new);
    let text = text.map_err(|source| ConfigError::from_io(&file, source))?;
    let table: toml::Table =
        toml::from_str(&text).map_err(|error| ConfigError::from_toml(&file, &text, &error))?;
    Ok(list(&Settings::read(home, overrides)?, &table))
}

fn list(settings: &Settings, file: &toml::Table) -> Vec<InForce> {
    let said = |table: &str, key: &str| file.get(table).is_some_and(|it| it.get(key).is_some());
    let one = |table: &str, key: &str, value: String| InForce {
        key: format!("{table}.{key}"),
        value,
        in_file: said(table, key),
    };
    let text = |value: &dyn ToString| quoted(&value.to_string());
    let mut all = Vec::new();
    if let Some(node) = &settings.node {
        all.push(one("node", "id", node.id.to_string()));
        all.push(one("node", "listen", text(&node.listen)));
        if node.addresses.is_empty() {
            all.push(one("node", "addresses", "{}".to_owned()));
        }
        for (id, address) in &node.addresses {
            let key = format!("node.addresses.{id}");
            all.push(InForce { key, value: text(address), in_file: true });
        }
    }
    let ops = settings.ops_listen.map_or_else(String::new, |ops| ops.to_string());
    let format = match settings.log.format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    all.extend([
        one("ops", "listen", quoted(&ops)),
        one("log", "level", quoted(settings.log.level.as_str())),
        one("log", "format", quoted(format)),
    ]);
    let identity = settings.noise_identity.display();
    all.push(one("noise", "identity", text(&identity)));
    let raw = file.get("chain").and_then(toml::Value::as_array);
    for (index, chain) in settings.chains.iter().enumerate() {
        let has = |key: &str| raw.and_then(|raw| raw.get(index)?.get(key)).is_some();
        let mut one = |key: &str, value: String| {
            let name = format!("chain.{}.{key}", quoted(chain.id.as_str()));
            all.push(InForce { key: name, value, in_file: has(key) });
        };
        one("key", render(&chain.key, ShowPin::Hidden).to_string());
        if let Some(pinned) = &chain.public_key {
            one("public_key", quoted(&BASE64.encode(pinned.as_bytes())));
        }
        one("give_up_after", text(&chain.give_up_after));
        let (dialect, jump) = (&chain.dialect, &chain.height_jump);
        one("privval_version", text(&dialect.version));
        one("non_rp_extensions", dialect.non_rp_extensions.to_string());
        one("raw_bytes", text(&dialect.raw_bytes));
        one("bech32_prefix", quoted(chain.bech32_prefix.as_str()));
        let jump_has =
            |key: &str| raw.and_then(|raw| raw.get(index)?.get("height_jump")?.get(key)).is_some();
        for (key, value) in [("most", jump.most), ("per_second", u64::from(jump.per_second))] {
            let name = format!("chain.{}.height_jump.{key}", quoted(chain.id.as_str()));
            all.push(InForce { key: name, value: value.to_string(), in_file: jump_has(key) });
        }
    }
    if settings.validators.is_empty() {
        all.push(InForce { key: "validator".to_owned(), value: "[]".to_owned(), in_file: false });
    }
    for validator in &settings.validators {
        let value = text(&validator.address);
        let key = format!("validator.{}", quoted(validator.chain.as_str()));
        all.push(InForce { key, value, in_file: true });
    }
    if let Some(service) = &settings.service {
        list_service(service, file, &mut all);
    }
    all
}

fn list_service(service: &ServiceSettings, file: &toml::Table, all: &mut Vec<InForce>) {
    let table = file.get("service");
    let raw = |index: usize| table?.get("key")?.as_array()?.get(index);
    let listen = table.is_some_and(|table| table.get("listen").is_some());
    let mut put = |key: String, value: String, in_file: bool| {
        all.push(InForce { key: format!("service.{key}"), value, in_file });
    };
    put("listen".to_owned(), quoted(&service.listen.to_string()), listen);
    if let Some(tls) = &service.tls {
        put("tls_cert".to_owned(), quoted(&tls.certificate.display().to_string()), true);
        put("tls_key".to_owned(), quoted(&tls.key.display().to_string()), true);
    }
    for (index, key) in service.keys.iter().enumerate() {
        let has = |field: &str| raw(index).is_some_and(|raw| raw.get(field).is_some());
        let name = |field: &str| format!("key.{}.{field}", quoted(&key.id));
        let source = KeySource::Whole(key.source.clone());
        put(name("key"), render(&source, ShowPin::Hidden).to_string(), true);
        if let Some(pinned) = &key.public_key {
            put(name("public_key"), quoted(&BASE64.encode(pinned.as_bytes())), true);
        }
        put(name("callers"), quoted(&key.callers.to_string()), has("callers"));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn tells_what_the_file_says_from_what_it_leaves_out() {
        let text = "[node]\nid = 1\nlisten = \"0.0.0.0:2222\"\n[log]\nformat = \"json\"\n\
                    [[chain]]\nid = \"c\"\nkey = { backend = \"threshold\" }\n\
                    [[chain]]\nid = \"d\"\nkey = { backend = \"threshold\" }\ngive_up_after = \"1500ms\"\n\
                    privval_version = \"v2\"\nnon_rp_extensions = true\nraw_bytes = \"celestia\"\n\
                    height_jump = { per_second = 5 }\nbech32_prefix = \"osmo\"\n";
        let settings = Settings::parse(text, Path::new("f"), Path::new("/")).unwrap();
        let all = list(&settings, &toml::from_str(text).unwrap());
        let lines: Vec<String> =
            all.iter().map(|it| format!("{} = {} {}", it.key, it.value, it.in_file)).collect();
        assert_eq!(
            lines,
            [
                "node.id = 1 true",
                "node.listen = \"0.0.0.0:2222\" true",
                "node.addresses = {} false",
                "ops.listen = \"127.0.0.1:2223\" false",
                "log.level = \"info\" false",
                "log.format = \"json\" true",
                "noise.identity = \"/identity.json\" false",
                "chain.\"c\".key = { backend = \"threshold\" } true",
                "chain.\"c\".give_up_after = \"3s\" false",
                "chain.\"c\".privval_version = \"v1\" false",
                "chain.\"c\".non_rp_extensions = false false",
                "chain.\"c\".raw_bytes = \"off\" false",
                "chain.\"c\".bech32_prefix = \"cosmos\" false",
                "chain.\"c\".height_jump.most = 10000 false",
                "chain.\"c\".height_jump.per_second = 20 false",
                "chain.\"d\".key = { backend = \"threshold\" } true",
                "chain.\"d\".give_up_after = \"1500ms\" true",
                "chain.\"d\".privval_version = \"v2\" true",
                "chain.\"d\".non_rp_extensions = true true",
                "chain.\"d\".raw_bytes = \"celestia\" true",
                "chain.\"d\".bech32_prefix = \"osmo\" true",
                "chain.\"d\".height_jump.most = 10000 false",
                "chain.\"d\".height_jump.per_second = 5 true",
                "validator = [] false",
            ]
        );
    }

    #[test]
    fn shows_the_service_and_its_keys() {
        let text = "[service]\n[[service.key]]\nid = \"a\"\n\
                    key = { backend = \"pkcs11\", module = \"m.so\", slot = 3, key_id = \"0A\", pin = \"98765\" }\n\
                    [[service.key]]\nid = \"b\"\ncallers = \"any\"\n\
                    key = { backend = \"file\", path = \"k\", algorithm = \"secp256k1\" }\n";
        let settings = Settings::parse(text, Path::new("f"), Path::new("/h")).unwrap();
        let all = list(&settings, &toml::from_str(text).unwrap());
        let lines: Vec<String> =
            all.iter().map(|it| format!("{} = {} {}", it.key, it.value, it.in_file)).collect();
        let of_service = lines.iter().position(|line| line.starts_with("service.")).unwrap();
        assert_eq!(
            &lines[of_service..],
            [
                "service.listen = \"127.0.0.1:2224\" false",
                "service.key.\"a\".key = { backend = \"pkcs11\", module = \"/h/m.so\", slot = 3, \
                 key_id = \"0a\", pin = \"(hidden)\" } true",
                "service.key.\"a\".callers = \"any\" false",
                "service.key.\"b\".key = { backend = \"file\", path = \"/h/k\", algorithm = \"secp256k1\" } true",
                "service.key.\"b\".callers = \"any\" true",
            ]
        );
    }

    #[test]
    fn shows_every_field_of_a_whole_key_but_the_pin() {
        let text = "[[chain]]\nid = \"c\"\n\
                    key = { backend = \"pkcs11\", module = \"m.so\", slot = 3, key_id = \"0A\", pin = \"98765\" }\n\
                    public_key = \"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\"\n";
        let settings = Settings::parse(text, Path::new("f"), Path::new("/h")).unwrap();
        let all = list(&settings, &toml::from_str(text).unwrap());
        let value = |key: &str| &all.iter().find(|it| it.key == key).unwrap().value;
        assert_eq!(
            value("chain.\"c\".key"),
            "{ backend = \"pkcs11\", module = \"/h/m.so\", slot = 3, key_id = \"0a\", pin = \"(hidden)\" }"
        );
        let pinned = "\"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\"";
        assert_eq!(value("chain.\"c\".public_key"), pinned);
        assert!(all.iter().all(|it| !it.value.contains("98765") && !it.key.starts_with("node")));
    }
}
