//! What the operator is to do next, in lines that a terminal shows whole.

use std::fmt::Write as _;

/// Widest line of the steps; a word or a command that is longer stands in a line of its own.
const WIDTH: usize = 96;

/// Steps with their numbers, for people to read. A step is prose, which is wrapped, and lines that begin
/// with a space, commands and settings, which stay whole. An empty step is left out.
pub(in crate::cli) fn next_steps(steps: &[String]) -> String {
    let steps = steps.iter().filter(|step| !step.is_empty());
    let mut text = String::from("\nNext:\n");
    for (step, number) in steps.zip(1..) {
        text.push_str(&wrapped(&format!("{number}. "), step));
    }
    text
}

/// One paragraph, or several lines, with `first` before the first and as much space before the others.
pub(in crate::cli) fn wrapped(first: &str, step: &str) -> String {
    let indent = first.chars().count();
    let mut text = String::new();
    let mut line = first.to_owned();
    for part in step.lines() {
        if part.starts_with(' ') {
            end(&mut text, &mut line, indent);
            // Writing to a String does not fail.
            let _ = writeln!(text, "{:indent$}{part}", "");
            continue;
        }
        for word in part.split(' ').filter(|word| !word.is_empty()) {
            let (width, more) = (line.chars().count(), word.chars().count());
            if width > indent && width + 1 + more > WIDTH {
                end(&mut text, &mut line, indent);
            }
            if line.chars().count() > indent {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    end(&mut text, &mut line, indent);
    text
}

/// Ends a line that has something in it, and begins the next.
fn end(text: &mut String, line: &mut String, indent: usize) {
    if !line.trim().is_empty() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    *line = " ".repeat(indent);
}

/// The step that starts what was made.
pub(in crate::cli) fn on_each_machine(home: &str) -> String {
    format!("On each machine:\n  cosigner config check {home}\n  cosigner start {home}")
}

/// The step that names the signer to the validator.
pub(in crate::cli) fn laddr_step(address: &str, who: &str) -> String {
    format!(
        "In the validator's config.toml set\n  priv_validator_laddr = \"{address}\"\n\
         (reachable for {who}), and start it."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_wrapped_between_words_and_commands_stay_whole() {
        let long = format!("  cosigner start --home /{}", "x".repeat(120));
        let prose = "word ".repeat(40);
        let text = next_steps(&[
            format!("{prose}\n{long}\nand {prose}"),
            String::new(),
            "The last.".to_owned(),
        ]);
        assert!(text.starts_with("\nNext:\n1. word word"), "{text}");
        assert!(text.ends_with("\n2. The last.\n"), "{text}");
        assert!(text.contains(&format!("\n   {long}\n   and word")), "{text}");
        assert_eq!(text.matches("word").count(), 80);
        for line in text.lines().filter(|line| !line.contains("cosigner")) {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert_eq!(line.trim_end(), line);
        }
        let short = text.lines().skip(2).filter(|line| line.starts_with("   word"));
        assert!(short.clone().count() >= 2, "{text}");
    }

    #[test]
    fn a_word_that_is_too_long_stands_alone_and_whole() {
        let path = "p".repeat(150);
        let text = wrapped("1. ", &format!("Delete {path} here."));
        assert_eq!(text, format!("1. Delete\n   {path}\n   here.\n"));
    }
}
