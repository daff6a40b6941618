//! One file of each program, and what none of them would write. The numbers are our own, the forms
//! those of the programs.

use super::*;
use crate::privval::{Fields, sign_bytes};
use crate::types::UnixMillis;
use crate::watermark::Record;
use crate::watermark::{MAX_CREDIT, to_cometbft_state};

const NOW: UnixMillis = UnixMillis(1_704_164_645_000);
/// Whatever [`of_our_key`] takes for a signature of the home's key, and for one of another.
const OURS: &str = "b3Vycw==";
const THEIRS: &str = "dGhlaXJz";

fn chain() -> ChainId {
    ChainId::new("test-chain-1").unwrap()
}

fn of_our_key(message: &[u8], signature: &[u8]) -> bool {
    assert_eq!(hex::encode_upper(message), precommit_hex());
    signature == b"ours"
}

fn import(json: &str) -> Result<Record, ImportError> {
    let mark = read(Dialect::CometBft, "", json)?;
    Ok(mark.map_or_else(|| Record::never_signed(NOW), |mark| Record::at_mark(mark, NOW)))
}

fn read(dialect: Dialect, name: &str, json: &str) -> Result<Option<Mark>, ImportError> {
    read_state(dialect, name, json, &chain(), &of_our_key)
}

/// Sign bytes of a precommit at 12345/2/3, made by CometBFT v0.38.25.
fn precommit_hex() -> String {
    let (block, parts) = ("AA".repeat(32), "BB".repeat(32));
    format!(
        "76080211393000000000000019020000000000000022480A20{block}122408071220{parts}\
         2A0808A5FACDAC061006320C746573742D636861696E2D31"
    )
}

fn precommit() -> Fields {
    parse_sign_bytes(&hex::decode(precommit_hex()).unwrap()).unwrap().1
}

fn state(height: &str, round: i32, step: i32, rest: &str) -> String {
    format!("{{\n  \"height\": \"{height}\",\n  \"round\": {round},\n  \"step\": {step}{rest}\n}}")
}

fn bytes_and(signature: &str) -> String {
    format!(",\n\"signature\": \"{signature}\",\n\"signbytes\": \"{}\"", precommit_hex())
}

fn with_bytes(height: &str, round: i32, step: i32) -> String {
    state(height, round, step, &bytes_and(OURS))
}

fn at(mark: Option<&Mark>) -> String {
    mark.unwrap().hrs().to_string()
}

fn hrs(record: &Record) -> String {
    at(record.mark())
}

#[track_caller]
fn is_signed(mark: Result<Option<Mark>, ImportError>) {
    assert_eq!(mark.unwrap(), Some(Mark::signed(precommit())));
}

#[track_caller]
fn is_unknown(mark: Result<Option<Mark>, ImportError>, hrs: &str) {
    let mark = mark.unwrap().unwrap();
    assert_eq!((mark.hrs().to_string().as_str(), mark.fields()), (hrs, None));
}

#[test]
fn takes_over_a_state_with_its_sign_bytes() {
    let record = import(&with_bytes("12345", 2, 3)).unwrap();
    assert_eq!(hrs(&record), "12345/2/3");
    let fields = record.mark().unwrap().fields().unwrap();
    assert_eq!(hex::encode_upper(sign_bytes(&chain(), fields)), precommit_hex());
    assert_eq!((record.at(), record.credit()), (NOW, MAX_CREDIT));
}

#[test]
fn takes_over_a_state_without_sign_bytes_as_bytes_unknown() {
    for rest in ["", ", \"signature\": \"b3Vycw==\"", ", \"signbytes\": \"\""] {
        let record = import(&state("12345", 2, 1, rest)).unwrap();
        assert_eq!(hrs(&record), "12345/2/1");
        assert_eq!(record.mark().unwrap().fields(), None);
    }
}

#[test]
fn a_fresh_state_is_one_that_never_signed() {
    assert_eq!(import(&state("0", 0, 0, "")).unwrap(), Record::never_signed(NOW));
}

#[test]
fn step_zero_means_all_before_its_round() {
    assert_eq!(hrs(&import(&state("12345", 2, 0, "")).unwrap()), "12345/1/3");
    assert_eq!(hrs(&import(&state("12345", 0, 0, "")).unwrap()), "12344/2147483647/3");
    assert_eq!(hrs(&import(&state("1", 0, 0, "")).unwrap()), "0/2147483647/3");
}

#[test]
fn refuses_sign_bytes_that_say_something_else_and_names_both() {
    for (height, round, step) in
        [("12344", 2, 3), ("12346", 2, 3), ("12345", 1, 3), ("12345", 2, 2), ("12345", 2, 0)]
    {
        let error = import(&with_bytes(height, round, step)).unwrap_err().to_string();
        assert!(error.contains(&format!("{height}/{round}/{step}")), "{error}");
        assert!(error.contains("12345/2/3"), "{error}");
    }
}

#[test]
fn refuses_another_chain_and_names_both() {
    let other = ChainId::new("test-chain-2").unwrap();
    let json = with_bytes("12345", 2, 3);
    let error = read_state(Dialect::CometBft, "", &json, &other, &of_our_key).unwrap_err();
    assert!(matches!(error, ImportError::OtherChain { .. }) && error.is_foreign());
    let error = error.to_string();
    assert!(error.contains("test-chain-1") && error.contains("test-chain-2"), "{error}");
}

#[test]
fn refuses_what_cometbft_would_not_write() {
    use ImportError as E;
    let refused = |json: &str| import(json).unwrap_err();
    assert!(matches!(refused(&state("-1", 0, 1, "")), E::Hrs(HrsError::NegativeHeight(-1))));
    assert!(matches!(refused(&state("5", -1, 1, "")), E::Hrs(HrsError::NegativeRound(-1))));
    assert!(matches!(refused(&state("5", 0, 4, "")), E::Hrs(HrsError::UnknownStep(4))));
    assert!(matches!(refused(&state("5", 0, -1, "")), E::Hrs(HrsError::UnknownStep(-1))));
    assert!(matches!(refused(&state("9223372036854775808", 0, 1, "")), E::Number { .. }));
    assert!(matches!(refused(&state("", 0, 1, "")), E::Number { .. }));
    assert!(matches!(refused(&state("0", 0, 3, "")), E::SignedAtZero));
    assert!(matches!(refused(&state("0", 1, 0, "")), E::SignedAtZero));
    assert!(matches!(refused(&with_bytes("0", 0, 0)), E::SignedAtZero));
    assert!(matches!(refused(&state("5", 0, 1, ", \"signbytes\": \"zz\"")), E::Hex(_)));
    assert!(matches!(refused(&state("5", 0, 1, ", \"signbytes\": \"00\"")), E::SignBytes(_)));
    assert!(matches!(refused(&state("5", 0, 1, ", \"signature\": \"?\"")), E::Base64(_)));
    assert!(matches!(refused(&state("5", 0, 1, ", \"block_id\": null")), E::Json { .. }));
    assert!(matches!(refused("{\"height\": \"5\"}"), E::Json { .. }));
    assert!(matches!(refused("{\"height\": 5, \"round\": 0, \"step\": 1}"), E::Json { .. }));
    assert!(matches!(refused(""), E::Json { .. }));
}

#[test]
fn a_signature_of_another_key_is_refused_where_it_is_one_of_the_whole_key() {
    let theirs = state("12345", 2, 3, &bytes_and(THEIRS));
    let files = [
        (Dialect::CometBft, "priv_validator_state.json"),
        (Dialect::Kms, "priv_validator_state.json"),
        (Dialect::CometKms, "priv_validator_state.json"),
        (Dialect::Horcrux, "test-chain-1_priv_validator_state.json"),
    ];
    for (dialect, name) in files {
        let error = read(dialect, name, &theirs).unwrap_err();
        assert!(matches!(error, ImportError::OtherKey(_)) && error.is_foreign(), "{dialect}");
        assert!(error.to_string().contains("12345/2/3"), "{error}");
        is_signed(read(dialect, name, &with_bytes("12345", 2, 3)));
    }
}

#[test]
fn sign_bytes_that_no_signature_proves_are_not_taken_for_what_was_signed() {
    let unproven = state("12345", 2, 3, &format!(", \"signbytes\": \"{}\"", precommit_hex()));
    is_unknown(read(Dialect::CometBft, "", &unproven), "12345/2/3");
    is_unknown(read(Dialect::CometBft, "", &state("12345", 2, 3, &bytes_and(""))), "12345/2/3");
}

#[test]
fn horcrux_writes_the_round_as_a_string_and_fields_of_its_own() {
    let own = ", \"nonce_public\": null, \"vote_ext_signature\": \"AAAA\"";
    let json = |round: &str, signature: &str| {
        let rest = bytes_and(signature);
        format!("{{\"height\": \"12345\", \"round\": {round}, \"step\": 3{own}{rest}}}")
    };
    for round in ["\"2\"", "2"] {
        is_signed(read(Dialect::Horcrux, "c_priv_validator_state.json", &json(round, OURS)));
        // Half a signature and a nonce: nothing to verify, and still what this share was given for.
        is_signed(read(Dialect::Horcrux, "c_share_sign_state.json", &json(round, THEIRS)));
    }
    is_unknown(
        read(
            Dialect::Horcrux,
            "c_share_sign_state.json",
            "{\"height\":\"7\",\"round\":\"0\",\"step\":2,\"ephemeral_public\":\"AAAA\"}",
        ),
        "7/0/2",
    );
    let fresh = "{\"height\":\"0\",\"round\":\"0\",\"step\":0,\"nonce_public\":null}";
    assert_eq!(read(Dialect::Horcrux, "c_share_sign_state.json", fresh).unwrap(), None);
}

#[test]
fn a_horcrux_file_under_another_name_or_with_other_fields_is_refused() {
    use ImportError as E;
    let name = "c_share_sign_state.json";
    for other in ["state.json", "share_sign_state.priv_validator_state"] {
        let refused = read(Dialect::Horcrux, other, &state("5", 0, 1, "")).unwrap_err();
        assert!(matches!(refused, E::HorcruxName), "{refused}");
    }
    let refused = |json: &str| read(Dialect::Horcrux, name, json).unwrap_err();
    let round = "{\"height\":\"5\",\"round\":\"two\",\"step\":1}";
    assert!(matches!(refused(round), E::Number { field: "round", .. }));
    assert!(matches!(refused(&state("5", 0, 4, "")), E::Hrs(_)));
    assert!(matches!(refused(&state("5", 0, 1, ", \"block_id\": null")), E::Json { .. }));
    // Another chain is told by the sign bytes of a share, too.
    let json = state("12345", 2, 3, &bytes_and(THEIRS));
    let other = ChainId::new("test-chain-2").unwrap();
    let refused = read_state(Dialect::Horcrux, name, &json, &other, &of_our_key).unwrap_err();
    assert!(matches!(refused, E::OtherChain { .. }));
}

fn tmkms(height: &str, round: &str, step: i32, block_id: &str) -> String {
    format!(
        "{{\"height\":\"{height}\",\"round\":\"{round}\",\"step\":{step},\"block_id\":{block_id}}}"
    )
}

#[test]
fn tmkms_counts_steps_from_zero_and_knows_no_sign_bytes() {
    let block = "{\"hash\":\"AA\",\"parts\":{\"total\":1,\"hash\":\"BB\"}}";
    for (step, hrs) in [(0, "12345/2/1"), (1, "12345/2/2"), (2, "12345/2/3")] {
        for block_id in ["null", block] {
            let json = tmkms("12345", "2", step, block_id);
            is_unknown(read(Dialect::Tmkms, "", &json), hrs);
        }
    }
    assert_eq!(read(Dialect::Tmkms, "", &tmkms("0", "0", 0, "null")).unwrap(), None);
}

#[test]
fn refuses_what_tmkms_would_not_write() {
    use ImportError as E;
    let refused = |json: &str| read(Dialect::Tmkms, "", json).unwrap_err();
    assert!(matches!(refused(&tmkms("5", "0", 3, "null")), E::TmkmsStep(3)));
    assert!(matches!(refused(&tmkms("5", "0", -1, "null")), E::TmkmsStep(-1)));
    assert!(matches!(refused(&tmkms("5", "x", 0, "null")), E::Number { .. }));
    assert!(matches!(refused(&tmkms("0", "0", 1, "null")), E::SignedAtZero));
    let block = "{\"hash\":\"AA\",\"parts\":{\"total\":1,\"hash\":\"BB\"}}";
    assert!(matches!(refused(&tmkms("0", "0", 0, block)), E::SignedAtZero));
    assert!(matches!(refused(&tmkms("5", "0", 0, "{\"hash\":\"AA\"}")), E::Json { .. }));
}

/// Steps differ by one between them, so a file read as the other's could be taken one step too low.
#[test]
fn the_dialects_are_not_taken_for_one_another() {
    let tmkms_file = tmkms("5", "0", 2, "null");
    let horcrux_file = "{\"height\":\"5\",\"round\":\"0\",\"step\":2,\"nonce_public\":null}";
    let name = "c_priv_validator_state.json";
    for dialect in [Dialect::CometBft, Dialect::CometKms, Dialect::Kms, Dialect::Horcrux] {
        let refused = read(dialect, name, &tmkms_file).unwrap_err();
        assert!(refused.to_string().contains(&dialect.to_string()), "{refused}");
    }
    for json in [state("5", 0, 2, "").as_str(), horcrux_file] {
        let refused = read(Dialect::Tmkms, name, json).unwrap_err();
        assert!(matches!(refused, ImportError::Json { .. }), "{refused}");
    }
    assert!(read(Dialect::CometBft, name, horcrux_file).is_err());
}

#[test]
fn cometkms_writes_cometbfts_file_and_the_same_with_a_number_for_the_height() {
    is_signed(read(Dialect::CometKms, "", &with_bytes("12345", 2, 3)));
    let replicated = |rest: &str| format!("{{\"height\":12345,\"round\":2,\"step\":3{rest}}}");
    is_signed(read(Dialect::CometKms, "", &replicated(&bytes_and(OURS))));
    is_unknown(read(Dialect::CometKms, "", &replicated("")), "12345/2/3");
    let fresh = "{\"height\":0,\"round\":0,\"step\":0}";
    assert_eq!(read(Dialect::CometKms, "", fresh).unwrap(), None);
    let status = format!("{{\"is_leader\":true,\"last_sign_state\":{fresh}}}");
    assert!(matches!(read(Dialect::CometKms, "", &status), Err(ImportError::Json { .. })));
    assert!(matches!(read(Dialect::CometKms, "", "null"), Err(ImportError::Json { .. })));
}

#[test]
fn the_highest_of_several_counts_and_its_content_only_if_all_agree() {
    let unknown = |h, r, step| {
        let (height, round) = (Height::new(h).unwrap(), Round::new(r).unwrap());
        Some(Mark::bytes_unknown(Hrs { height, round, step }))
    };
    let signed = || Some(Mark::signed(precommit()));
    let earlier = precommit().with_timestamp(crate::types::Timestamp::new(1, 0).unwrap());
    assert_eq!(highest([]), None);
    assert_eq!(highest([None, None]), None);
    let lower = || unknown(12_345, 2, Step::Prevote);
    let above = || unknown(12_345, 3, Step::Propose);
    assert_eq!(highest([lower(), signed(), None, signed()]), signed());
    assert_eq!(highest([signed(), above(), lower()]), above());
    let forgotten = unknown(12_345, 2, Step::Precommit);
    assert_eq!(highest([signed(), Some(Mark::signed(earlier))]), forgotten);
    assert_eq!(highest([signed(), forgotten.clone()]), forgotten);
    assert_eq!(highest([forgotten.clone(), signed()]), forgotten);
}

#[test]
fn what_is_exported_is_what_cometbft_writes_and_comes_back_as_it_was() {
    let bytes = hex::decode(precommit_hex()).unwrap();
    let hrs = precommit().hrs();
    let whole = to_cometbft_state(Some(hrs), Some((&bytes, b"ours")));
    let expected = format!(
        "{{\n  \"height\": \"12345\",\n  \"round\": 2,\n  \"step\": 3,\n  \
         \"signature\": \"{OURS}\",\n  \"signbytes\": \"{}\"\n}}\n",
        precommit_hex()
    );
    assert_eq!(whole, expected);
    is_signed(read(Dialect::CometBft, "", &whole));
    let bare = to_cometbft_state(Some(hrs), None);
    assert_eq!(bare, "{\n  \"height\": \"12345\",\n  \"round\": 2,\n  \"step\": 3\n}\n");
    is_unknown(read(Dialect::CometBft, "", &bare), "12345/2/3");
    let floor = Record::floor(Height::new(77).unwrap(), NOW);
    let text = to_cometbft_state(floor.hrs(), None);
    assert_eq!(text, "{\n  \"height\": \"77\",\n  \"round\": 2147483647,\n  \"step\": 3\n}\n");
    assert_eq!(import(&text).unwrap(), floor);
    let first = import(r#"{"height": "1", "round": 0, "step": 0}"#).unwrap();
    assert!(first.hrs().is_some_and(|hrs| hrs.height.get() == 0));
    let never = to_cometbft_state(None, None);
    assert_eq!(to_cometbft_state(first.hrs(), None), never);
    assert_eq!(never, "{\n  \"height\": \"0\",\n  \"round\": 0,\n  \"step\": 0\n}\n");
    assert_eq!(import(&never).unwrap(), Record::never_signed(NOW));
}
