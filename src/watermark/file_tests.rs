//! The watermark file on a disk that breaks, and on a real one.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::file::file_name;
use super::slot::encode;
use super::{
    Decision, Fault, FileError, JumpLimit, Mark, Record, SLOT_BYTES, SlotDisk, Stored,
    WatermarkFile, Watermarked, decide, list, peek,
};
use crate::privval::{Fields, Vote, VoteKind};
use crate::types::{ChainId, Height, Hrs, KeyId, Round, Step, Timestamp, UnixMillis};

const NOW: UnixMillis = UnixMillis(1_704_164_645_000);
const KEY: KeyId = KeyId::from_bytes([0x11; 32]);

fn chain() -> ChainId {
    ChainId::new("test-chain-1").unwrap()
}

fn vote(height: i64, round: i32, nanos: i32) -> Fields {
    Fields::Vote(Vote {
        kind: VoteKind::Prevote,
        height: Height::new(height).unwrap(),
        round: Round::new(round).unwrap(),
        block_id: None,
        timestamp: Timestamp::new(1, nanos).unwrap(),
    })
}

fn record(height: i64, round: i32) -> Record {
    Record::at_mark(Mark::signed(vote(height, round, 0)), NOW)
}

fn slot(seq: u64, record: &Record) -> Vec<u8> {
    let record = record.clone();
    encode(&Stored { chain: chain(), key: KEY, seq, record }).unwrap().to_vec()
}

/// Slots in memory. Clones share them, as openings of one file do.
#[derive(Clone, Debug)]
struct FakeDisk(Rc<RefCell<Platter>>);

#[derive(Debug)]
struct Platter {
    content: Vec<u8>,
    /// Power fails in the next write: only these of its eight sectors get to the disk.
    tear: Option<u8>,
    /// The next write fails like this and changes nothing.
    error: Option<io::Error>,
    in_place: bool,
}

impl FakeDisk {
    fn new(content: Vec<u8>) -> Self {
        let platter = Platter { content, tear: None, error: None, in_place: true };
        Self(Rc::new(RefCell::new(platter)))
    }

    fn holding(seq: u64, older: &Record, newer: &Record) -> Self {
        let (older, newer) = (slot(seq - 1, older), slot(seq, newer));
        Self::new(if seq.is_multiple_of(2) { [newer, older] } else { [older, newer] }.concat())
    }

    fn open(&self) -> Result<(WatermarkFile<Self>, Record, Watermarked), FileError> {
        WatermarkFile::open_on(self.clone(), Path::new("w"), &chain(), &KEY)
    }

    fn refusal(&self) -> Fault {
        let before = self.0.borrow().content.clone();
        let fault = self.open().unwrap_err().fault;
        assert_eq!(self.0.borrow().content, before, "a refused file is left as it is");
        fault
    }
}

impl SlotDisk for FakeDisk {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.0.borrow().content.clone())
    }

    fn write_slot(&mut self, index: usize, slot: &[u8; SLOT_BYTES]) -> io::Result<()> {
        let mut platter = self.0.borrow_mut();
        if let Some(error) = platter.error.take() {
            return Err(error);
        }
        let torn = platter.tear.take();
        let start = index * SLOT_BYTES;
        for sector in 0..8 {
            if torn.is_none_or(|mask| mask & (1 << sector) != 0) {
                let (from, to) = (sector * 512, (sector + 1) * 512);
                platter.content[start + from..start + to].copy_from_slice(&slot[from..to]);
            }
        }
        if torn.is_some() { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }

    fn is_in_place(&self) -> io::Result<bool> {
        Ok(self.0.borrow().in_place)
    }
}

#[test]
fn opening_writes_the_newest_record_once_more_into_the_other_slot() {
    for seq in [8, 9] {
        let disk = FakeDisk::holding(seq, &record(4, 0), &record(5, 0));
        let (file, opened, receipt) = disk.open().unwrap();
        assert_eq!(opened, record(5, 0));
        assert_eq!((file.record(), file.seq(), receipt.seq()), (&opened, seq + 1, seq + 1));
        let rewritten = FakeDisk::holding(seq + 1, &record(5, 0), &record(5, 0));
        assert_eq!(disk.0.borrow().content, rewritten.0.borrow().content);
    }
}

#[test]
fn nothing_is_answered_if_the_rewrite_at_opening_fails() {
    let disk = FakeDisk::holding(8, &record(4, 0), &record(5, 0));
    disk.0.borrow_mut().error = Some(io::ErrorKind::StorageFull.into());
    assert!(matches!(disk.refusal(), Fault::Io { action: "write", .. }));
}

#[test]
fn writes_go_to_the_slots_in_turn_and_the_last_one_is_read_back() {
    let disk = FakeDisk::holding(2, &record(1, 0), &record(1, 0));
    let (mut file, ..) = disk.open().unwrap();
    for height in 2..6 {
        let receipt = file.write(&record(height, 0)).unwrap();
        assert_eq!(receipt.hrs(), record(height, 0).hrs());
        let expected = FakeDisk::holding(file.seq(), &record(height - 1, 0), &record(height, 0));
        assert_eq!(disk.0.borrow().content, expected.0.borrow().content);
    }
    assert_eq!(disk.open().unwrap().1, record(5, 0));
}

#[test]
fn a_write_torn_at_any_sector_leaves_the_old_record_or_the_new_one() {
    for seq in [8, 9] {
        for mask in 0..=u8::MAX {
            let disk = FakeDisk::holding(seq, &record(3, 0), &record(4, 0));
            let (mut file, ..) = disk.open().unwrap();
            file.write(&record(5, 0)).unwrap();
            disk.0.borrow_mut().tear = Some(mask);
            file.write(&record(6, 0)).unwrap_err();
            let expected = if mask & 1 == 0 { record(5, 0) } else { record(6, 0) };
            assert_eq!(disk.open().unwrap().1, expected, "sectors {mask:08b} of slot {}", seq % 2);
        }
    }
}

#[test]
fn one_damaged_slot_is_refused_whichever_it_is() {
    for seq in [8, 9] {
        let whole = FakeDisk::holding(seq, &record(4, 0), &record(5, 0)).0.borrow().content.clone();
        for damaged in 0..2 {
            for offset in [0, 8, 16, 100, 200, 479, 480, 511] {
                let mut content = whole.clone();
                content[damaged * SLOT_BYTES + offset] ^= 0x80;
                let fault = FakeDisk::new(content).refusal();
                let newer = u64::try_from(damaged).unwrap() != seq % 2;
                let (other, height) = if newer { (seq, 5) } else { (seq - 1, 4) };
                let Fault::OneSlotDamaged { slot, seq, hrs } = fault else { panic!("{fault}") };
                assert_eq!((slot, seq, hrs), (damaged, other, record(height, 0).hrs()));
            }
        }
    }
}

#[test]
fn two_damaged_slots_are_refused() {
    let fault = FakeDisk::new(vec![0; 2 * SLOT_BYTES]).refusal();
    assert!(matches!(fault, Fault::BothSlotsDamaged));
    assert!(fault.to_string().contains("state raise"), "{fault}");
}

#[test]
fn sequence_numbers_that_do_not_follow_are_refused() {
    let pairs = [(8, 5), (8, 11), (0, u64::MAX), (2, 5)];
    for (first, second) in pairs {
        let content = [slot(first, &record(5, 0)), slot(second, &record(5, 0))].concat();
        match FakeDisk::new(content).refusal() {
            Fault::SequenceGap { first: a, second: b } => assert_eq!((a, b), (first, second)),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_slot_copied_over_the_other_one_is_damage() {
    for (seq, damaged) in [(8, 1), (9, 0)] {
        let content = slot(seq, &record(5, 0)).repeat(2);
        let fault = FakeDisk::new(content).refusal();
        assert!(matches!(fault, Fault::OneSlotDamaged { slot, .. } if slot == damaged), "{fault}");
    }
}

#[test]
fn a_newer_slot_with_a_lower_record_is_refused() {
    let fault = FakeDisk::holding(8, &record(5, 0), &record(4, 0)).refusal();
    assert!(matches!(fault, Fault::Lower { .. }), "{fault}");
}

#[test]
fn a_file_of_another_length_is_refused() {
    let whole = FakeDisk::holding(8, &record(4, 0), &record(5, 0)).0.borrow().content.clone();
    for length in [0, 1, 511, 512, 4095, 4096, 4608, 8191, 8193, 12_288] {
        let mut content = whole.clone();
        content.resize(length, 0);
        let fault = FakeDisk::new(content).refusal();
        assert!(matches!(fault, Fault::Length { expected: 8192, found } if found == length));
    }
}

#[test]
fn another_chain_or_key_is_refused() {
    let disk = FakeDisk::holding(8, &record(4, 0), &record(5, 0));
    let open = |chain: &str, key| {
        let chain = ChainId::new(chain).unwrap();
        WatermarkFile::open_on(disk.clone(), Path::new("w"), &chain, &key).unwrap_err().fault
    };
    let other = KeyId::from_bytes([0x12; 32]);
    match open("test-chain-2", KEY) {
        Fault::OtherChain { expected, found } => {
            assert_eq!((expected.as_str(), found.as_str()), ("test-chain-2", "test-chain-1"));
        }
        fault => panic!("{fault}"),
    }
    match open("test-chain-1", other) {
        Fault::OtherKey { expected, found } => assert_eq!((expected, found), (other, KEY)),
        fault => panic!("{fault}"),
    }
    // Two slots that do not belong together.
    let foreign = Stored { chain: chain(), key: other, seq: 7, record: record(5, 0) };
    let content = [slot(8, &record(5, 0)), encode(&foreign).unwrap().to_vec()].concat();
    assert!(matches!(FakeDisk::new(content).refusal(), Fault::OtherKey { .. }));
}

#[test]
fn a_lower_record_is_refused_and_the_file_goes_on() {
    let disk = FakeDisk::holding(8, &record(4, 0), &record(5, 3));
    let (mut file, ..) = disk.open().unwrap();
    let lower = [record(4, 9), record(5, 2), Record::never_signed(NOW)];
    for lower in lower {
        match file.write(&lower).unwrap_err().fault {
            Fault::Lower { recorded, asked } => {
                assert_eq!((recorded, asked), (record(5, 3).hrs(), lower.hrs()));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!((file.record(), file.seq()), (&record(5, 3), 9));
    file.write(&record(5, 4)).unwrap();
}

#[test]
fn at_an_equal_step_content_may_be_forgotten_but_never_exchanged() {
    let disk = FakeDisk::holding(8, &record(4, 0), &record(5, 3));
    let (mut file, ..) = disk.open().unwrap();
    let other_time = Record::at_mark(Mark::signed(vote(5, 3, 1)), NOW);
    let exchanged =
        |fault| matches!(fault, Fault::OtherContent { hrs } if Some(hrs) == record(5, 3).hrs());
    assert!(exchanged(file.write(&other_time).unwrap_err().fault));
    file.write(&record(5, 3)).unwrap();
    let forgotten = Record::at_mark(Mark::bytes_unknown(vote(5, 3, 0).hrs()), NOW);
    file.write(&forgotten).unwrap();
    assert!(exchanged(file.write(&record(5, 3)).unwrap_err().fault));
    assert_eq!(disk.open().unwrap().1, forgotten);
}

#[test]
fn after_a_failed_write_every_later_one_fails() {
    let full = || io::Error::from_raw_os_error(28);
    let disk = FakeDisk::holding(8, &record(4, 0), &record(5, 0));
    let (mut file, ..) = disk.open().unwrap();
    disk.0.borrow_mut().error = Some(full());
    match file.write(&record(6, 0)).unwrap_err().fault {
        Fault::Io { action: "write", source } => {
            assert_eq!(source.kind(), io::ErrorKind::StorageFull);
        }
        other => panic!("{other}"),
    }
    assert_eq!(file.record(), &record(5, 0));
    for height in [6, 7] {
        assert!(matches!(file.write(&record(height, 0)).unwrap_err().fault, Fault::Poisoned));
    }
    assert_eq!(disk.open().unwrap().1, record(5, 0));
}

#[test]
fn a_file_that_is_not_in_its_place_gives_no_receipt() {
    let disk = FakeDisk::holding(8, &record(4, 0), &record(5, 0));
    let (mut file, ..) = disk.open().unwrap();
    disk.0.borrow_mut().in_place = false;
    assert!(matches!(file.write(&record(6, 0)).unwrap_err().fault, Fault::Moved));
    disk.0.borrow_mut().in_place = true;
    assert!(matches!(file.write(&record(7, 0)).unwrap_err().fault, Fault::Poisoned));
}

#[test]
fn the_last_sequence_number_is_an_error_and_not_a_wrap() {
    let disk = FakeDisk::holding(u64::MAX, &record(4, 0), &record(5, 0));
    assert!(matches!(disk.refusal(), Fault::SequenceExhausted));
}

#[test]
fn a_receipt_covers_what_was_written_and_nothing_above_or_beside_it() {
    let disk = FakeDisk::holding(8, &Record::never_signed(NOW), &Record::never_signed(NOW));
    let (mut file, _, opened) = disk.open().unwrap();
    let hrs =
        |h, r, step| Hrs { height: Height::new(h).unwrap(), round: Round::new(r).unwrap(), step };
    assert!(!opened.covers(&chain(), &KEY, hrs(0, 0, Step::Propose)));
    let receipt = file.write(&record(5, 3)).unwrap();
    for covered in [hrs(5, 3, Step::Prevote), hrs(5, 3, Step::Propose), hrs(4, 9, Step::Precommit)]
    {
        assert!(receipt.covers(&chain(), &KEY, covered), "{covered}");
    }
    for above in [hrs(5, 3, Step::Precommit), hrs(5, 4, Step::Propose), hrs(6, 0, Step::Propose)] {
        assert!(!receipt.covers(&chain(), &KEY, above), "{above}");
    }
    let written = hrs(5, 3, Step::Prevote);
    assert!(!receipt.covers(&ChainId::new("test-chain-2").unwrap(), &KEY, written));
    assert!(!receipt.covers(&chain(), &KeyId::from_bytes([0x12; 32]), written));
}

proptest! {
    /// I2 and I3: whatever tears when, what had a receipt is never undercut.
    #[test]
    fn no_crash_undercuts_a_receipt(
        writes in proptest::collection::vec((1..3_i64, proptest::option::of(any::<u8>())), 1..40),
    ) {
        let disk = FakeDisk::holding(2, &record(1, 0), &record(1, 0));
        let (mut file, mut acknowledged, _) = disk.open().unwrap();
        let mut height = 1;
        for (rise, tear) in writes {
            height += rise;
            let asked = record(height, 0);
            disk.0.borrow_mut().tear = tear;
            match file.write(&asked) {
                Ok(receipt) => {
                    prop_assert!(tear.is_none() && receipt.hrs() == asked.hrs());
                    acknowledged = asked;
                }
                Err(_) => {
                    let (reopened, found, _) = disk.open().unwrap();
                    prop_assert!(found == acknowledged || found == asked);
                    (file, acknowledged) = (reopened, found);
                }
            }
        }
    }
}

/// A real directory.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(record: &Record) -> Self {
        let home = Self::new();
        home.create(record).unwrap();
        home
    }

    fn dir(&self) -> &Path {
        self.0.path()
    }

    fn path(&self) -> PathBuf {
        self.dir().join(file_name(&chain(), &KEY))
    }

    fn create(&self, record: &Record) -> Result<(), FileError> {
        WatermarkFile::create(self.dir(), &chain(), &KEY, record)
    }

    fn open(&self) -> Result<(WatermarkFile, Record, Watermarked), FileError> {
        WatermarkFile::open(self.dir(), &chain(), &KEY)
    }

    fn fault(&self) -> Fault {
        self.open().unwrap_err().fault
    }
}

#[test]
fn a_real_file_is_made_written_and_read_back() {
    let home = Home::with(&record(4, 0));
    let name = home.path().file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(name, "8dc9045727964f1d-1111111111111111.watermark");
    assert_eq!(fs::read_dir(home.dir()).unwrap().count(), 1, "nothing else is left behind");
    let metadata = fs::metadata(home.path()).unwrap();
    assert_eq!((metadata.permissions().mode() & 0o7777, metadata.nlink()), (0o600, 1));
    let (mut file, opened, receipt) = home.open().unwrap();
    assert_eq!((opened, receipt.seq()), (record(4, 0), 3));
    for height in 5..10 {
        file.write(&record(height, 0)).unwrap();
    }
    drop(file);
    let expected = FakeDisk::holding(8, &record(8, 0), &record(9, 0));
    assert_eq!(fs::read(home.path()).unwrap(), expected.0.borrow().content);
    assert_eq!(home.open().unwrap().1, record(9, 0));
}

#[test]
fn the_rule_and_the_file_agree_over_restarts() {
    let home = Home::with(&Record::never_signed(NOW));
    for height in 100..105 {
        let (mut file, recorded, _) = home.open().unwrap();
        let limit = JumpLimit::default();
        let decision = decide(&recorded, &chain(), &vote(height, 0, 0), NOW, limit).unwrap();
        let Decision::Advance(next) = decision else { panic!("an advance") };
        let receipt = file.write(&next).unwrap();
        assert!(receipt.covers(&chain(), &KEY, vote(height, 0, 0).hrs()));
        drop(file);
        let recorded = home.open().unwrap().1;
        assert_eq!(recorded, *next);
        let again = decide(&recorded, &chain(), &vote(height, 0, 1), NOW, limit);
        assert_eq!(again, Ok(Decision::Again));
    }
}

#[test]
fn creating_never_replaces_a_file() {
    let home = Home::with(&record(9, 0));
    assert!(matches!(home.create(&record(1, 0)).unwrap_err().fault, Fault::Exists));
    assert_eq!(fs::read_dir(home.dir()).unwrap().count(), 1);
    assert_eq!(home.open().unwrap().1, record(9, 0));
}

#[test]
fn a_missing_file_is_refused_with_what_to_run() {
    let fault = Home::new().fault();
    assert!(matches!(fault, Fault::Missing));
    assert!(fault.to_string().contains("cosigner state init"), "{fault}");
}

#[test]
fn a_mode_that_lets_others_in_is_refused_with_the_chmod_to_run() {
    let home = Home::with(&record(4, 0));
    for mode in [0o640, 0o604, 0o660, 0o601, 0o644] {
        fs::set_permissions(home.path(), fs::Permissions::from_mode(mode)).unwrap();
        let fault = home.fault();
        assert!(matches!(fault, Fault::Mode { mode: found, .. } if found == mode), "{fault}");
        let chmod = format!("chmod 600 {}", home.path().display());
        assert!(fault.to_string().contains(&chmod), "{fault}");
    }
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o600)).unwrap();
    home.open().unwrap();
}

#[test]
fn a_link_in_the_place_of_the_file_is_refused() {
    let home = Home::with(&record(4, 0));
    let elsewhere = home.dir().join("elsewhere");
    fs::rename(home.path(), &elsewhere).unwrap();
    symlink(&elsewhere, home.path()).unwrap();
    assert!(matches!(home.fault(), Fault::Io { action: "open", .. }));
}

#[test]
fn truncated_and_longer_real_files_are_refused() {
    for length in [0, 4096, 8191, 8193] {
        let home = Home::with(&record(4, 0));
        let file = fs::OpenOptions::new().write(true).open(home.path()).unwrap();
        file.set_len(length).unwrap();
        let fault = home.fault();
        assert!(matches!(fault, Fault::Length { found, .. } if found as u64 == length), "{fault}");
    }
}

#[test]
fn a_second_opening_in_this_process_is_refused_until_the_first_is_gone() {
    let home = Home::with(&record(4, 0));
    let first = home.open().unwrap();
    assert!(matches!(home.fault(), Fault::Locked));
    assert_eq!(first.0.seq(), 3);
    drop(first);
    home.open().unwrap();
}

/// Starts itself again as the second process.
#[test]
fn a_second_process_is_refused() {
    const DIR: &str = "COSIGNER_TEST_WATERMARK_DIR";
    const CHILD_SAW_THE_LOCK: i32 = 42;
    if let Some(dir) = std::env::var_os(DIR) {
        let opened = WatermarkFile::open(Path::new(&dir), &chain(), &KEY);
        let locked = matches!(opened, Err(FileError { fault: Fault::Locked, .. }));
        std::process::exit(if locked { CHILD_SAW_THE_LOCK } else { 1 });
    }
    let home = Home::with(&record(4, 0));
    let open = home.open().unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "watermark::file_tests::a_second_process_is_refused"])
        .env(DIR, home.dir())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    drop(open);
    assert_eq!(status.code(), Some(CHILD_SAW_THE_LOCK));
}

#[test]
fn a_file_replaced_moved_or_removed_under_us_ends_signing() {
    let copy = |home: &Home| {
        let twin = home.dir().join("twin");
        fs::copy(home.path(), &twin).unwrap();
        fs::rename(&twin, home.path()).unwrap();
    };
    let remove = |home: &Home| fs::remove_file(home.path()).unwrap();
    let move_away = |home: &Home| fs::rename(home.path(), home.dir().join("away")).unwrap();
    let undo: [&dyn Fn(&Home); 3] = [&copy, &remove, &move_away];
    for displace in undo {
        let home = Home::with(&record(4, 0));
        let (mut file, ..) = home.open().unwrap();
        file.write(&record(5, 0)).unwrap();
        displace(&home);
        assert!(matches!(file.write(&record(6, 0)).unwrap_err().fault, Fault::Moved));
        assert!(matches!(file.write(&record(7, 0)).unwrap_err().fault, Fault::Poisoned));
    }
}

#[test]
fn a_damaged_file_is_mended_at_or_above_what_can_still_be_read() {
    let home = Home::with(&record(4, 0));
    drop(home.open().unwrap());
    let mend = |record: &Record| WatermarkFile::mend(home.dir(), &chain(), &KEY, record);
    let floor = |height| Record::floor(Height::new(height).unwrap(), NOW);
    assert!(matches!(mend(&floor(9)).unwrap_err().fault, Fault::NotDamaged));

    let mut content = fs::read(home.path()).unwrap();
    content[0] ^= 1;
    fs::write(home.path(), &content).unwrap();
    assert!(matches!(home.fault(), Fault::OneSlotDamaged { slot: 0, .. }));
    assert!(matches!(mend(&floor(3)).unwrap_err().fault, Fault::Lower { .. }));
    assert!(matches!(mend(&Record::never_signed(NOW)).unwrap_err().fault, Fault::Lower { .. }));
    mend(&floor(9)).unwrap();
    assert_eq!(fs::read_dir(home.dir()).unwrap().count(), 1);
    let (file, opened, _) = home.open().unwrap();
    // The slot that could be read was number 3.
    assert_eq!((&opened, file.seq()), (&floor(9), 7));
    assert!(matches!(mend(&floor(10)).unwrap_err().fault, Fault::Locked));
    drop(file);

    fs::write(home.path(), b"").unwrap();
    mend(&floor(10)).unwrap();
    assert_eq!(home.open().unwrap().1, floor(10));
}

fn height(number: i64) -> Option<Height> {
    Height::new(number).ok()
}

#[test]
fn a_ceiling_survives_writes_raises_and_restarts_and_only_its_own_command_changes_it() {
    let home = Home::with(&record(4, 0));
    let (mut file, ..) = home.open().unwrap();
    file.set_ceiling(height(50)).unwrap();
    assert_eq!(file.record(), &record(4, 0).with_ceiling(height(50)));
    // Whoever writes without knowing of it, or with another one.
    file.write(&record(5, 0)).unwrap();
    file.write(&record(6, 0).with_ceiling(height(99))).unwrap();
    file.write(&Record::floor(Height::new(60).unwrap(), NOW)).unwrap();
    assert_eq!(file.record().ceiling(), height(50));
    drop(file);
    let (mut file, opened, _) = home.open().unwrap();
    assert_eq!(opened.ceiling(), height(50));
    file.set_ceiling(None).unwrap();
    file.write(&record(61, 0).with_ceiling(height(99))).unwrap();
    drop(file);
    assert_eq!(home.open().unwrap().1, record(61, 0));
}

#[test]
fn a_ceiling_is_in_both_slots_and_mending_keeps_it() {
    for damaged in [0, SLOT_BYTES] {
        let home = Home::with(&record(4, 0));
        home.open().unwrap().0.set_ceiling(height(50)).unwrap();
        let mut content = fs::read(home.path()).unwrap();
        content[damaged] ^= 1;
        fs::write(home.path(), &content).unwrap();
        let floor = Record::floor(Height::new(9).unwrap(), NOW);
        WatermarkFile::mend(home.dir(), &chain(), &KEY, &floor).unwrap();
        assert_eq!(home.open().unwrap().1, floor.with_ceiling(height(50)));
    }
}

#[test]
fn of_two_ceilings_in_a_damaged_file_the_lower_one_is_kept() {
    let home = Home::with(&record(4, 0));
    let slots = [
        slot(8, &record(4, 0).with_ceiling(height(70))),
        slot(5, &record(4, 0).with_ceiling(height(60))),
    ];
    fs::write(home.path(), slots.concat()).unwrap();
    assert!(matches!(home.fault(), Fault::SequenceGap { .. }));
    let floor = Record::floor(Height::new(9).unwrap(), NOW).with_ceiling(height(65));
    WatermarkFile::mend(home.dir(), &chain(), &KEY, &floor).unwrap();
    assert_eq!(home.open().unwrap().1, floor.with_ceiling(height(60)));
}

#[test]
fn a_reset_forgets_everything_but_the_number_of_its_writes() {
    let home = Home::with(&record(9, 0));
    let reset = || WatermarkFile::reset(home.dir(), &chain(), &KEY, NOW);
    let never = Record::never_signed(NOW);
    let (mut file, ..) = home.open().unwrap();
    file.set_ceiling(height(50)).unwrap();
    let seq = file.seq();
    assert!(matches!(reset().unwrap_err().fault, Fault::Locked));
    drop(file);
    reset().unwrap();
    let (file, opened, _) = home.open().unwrap();
    assert_eq!(opened, never);
    assert!(file.seq() > seq, "it must not look older than it was");
    drop(file);
    fs::write(home.path(), b"damaged").unwrap();
    reset().unwrap();
    assert_eq!(home.open().unwrap().1, never);
    assert_eq!(fs::read_dir(home.dir()).unwrap().count(), 1);
    // Neither somebody else's file nor one that is not there.
    let foreign =
        Stored { chain: chain(), key: KeyId::from_bytes([9; 32]), seq: 8, record: record(9, 0) };
    fs::write(home.path(), encode(&foreign).unwrap().repeat(2)).unwrap();
    assert!(matches!(reset().unwrap_err().fault, Fault::OtherKey { .. }));
    fs::remove_file(home.path()).unwrap();
    assert!(matches!(reset().unwrap_err().fault, Fault::Missing));
}

#[test]
fn looking_needs_no_lock_and_changes_nothing() {
    let home = Home::with(&record(4, 0));
    let (mut file, ..) = home.open().unwrap();
    file.write(&record(5, 0)).unwrap();
    let before = fs::read(home.path()).unwrap();
    let seen = peek(home.dir(), &chain(), &KEY).unwrap();
    assert_eq!(seen, Stored { chain: chain(), key: KEY, seq: 4, record: record(5, 0) });
    assert_eq!(fs::read(home.path()).unwrap(), before);
    file.write(&record(6, 0)).unwrap();
    assert_eq!(peek(home.dir(), &chain(), &KEY).unwrap().record, record(6, 0));
    let other = peek(home.dir(), &chain(), &KeyId::from_bytes([0x12; 32]));
    assert!(matches!(other.unwrap_err().fault, Fault::Missing));
}

#[test]
fn looking_while_a_cosigner_writes_sees_whole_records_that_only_rise() {
    let home = Home::with(&record(1, 0));
    let (mut file, ..) = home.open().unwrap();
    let writer = std::thread::spawn(move || {
        for height in 2..200 {
            file.write(&record(height, 0)).unwrap();
        }
    });
    let mut last = 0;
    while !writer.is_finished() {
        let seen = peek(home.dir(), &chain(), &KEY).unwrap();
        assert!(seen.seq >= last);
        last = seen.seq;
    }
    writer.join().unwrap();
    assert_eq!(peek(home.dir(), &chain(), &KEY).unwrap().record, record(199, 0));
}

#[test]
fn listing_shows_every_file_with_its_chain_and_key_and_every_fault() {
    let home = Home::with(&record(4, 0));
    let other = ChainId::new("../../etc/passwd").unwrap();
    WatermarkFile::create(home.dir(), &other, &KEY, &Record::never_signed(NOW)).unwrap();
    fs::write(home.dir().join("0000.watermark"), b"short").unwrap();
    fs::copy(home.path(), home.dir().join("zzzz.watermark")).unwrap();
    fs::write(home.dir().join("notes.txt"), b"not ours").unwrap();
    let listed = list(home.dir()).unwrap();
    let words: Vec<String> = listed
        .iter()
        .map(|entry| match entry {
            Ok(stored) => format!("{} {:?}", stored.chain, stored.record.hrs()),
            Err(FileError { fault: Fault::Length { found, .. }, .. }) => format!("{found} bytes"),
            Err(FileError { fault: Fault::Misnamed { .. }, .. }) => "misnamed".to_owned(),
            Err(error) => panic!("{error}"),
        })
        .collect();
    let mut whole =
        [format!("test-chain-1 {:?}", record(4, 0).hrs()), "../../etc/passwd None".to_owned()];
    let mut found = [words[1].clone(), words[2].clone()];
    whole.sort();
    found.sort();
    assert_eq!((words[0].as_str(), words[3].as_str(), found), ("5 bytes", "misnamed", whole));
    assert!(list(&home.dir().join("nowhere")).is_err());
}
