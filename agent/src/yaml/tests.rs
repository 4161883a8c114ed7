//! What people type, and what it is read as.

use super::*;
use serde::Deserialize;

#[derive(Debug, Deserialize, PartialEq)]
struct Top {
    #[serde(default)]
    name: String,
    #[serde(default)]
    list: Vec<Item>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Item {
    size: u8,
    #[serde(default)]
    word: Option<Word>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Word {
    Alpha,
    Beta,
}

fn mistakes(text: &str) -> Vec<String> {
    let reading = read::<Top>(text).map_err(|m| m.to_string()).unwrap();
    place(text, &reading.notes).iter().map(Mistake::to_string).collect()
}

#[test]
fn every_mistake_is_listed_with_its_place() {
    let text = "nam: x\nlist:\n  - { size: 300 }\n  - size: 1\n    word: alhpa\n  - word: beta\n  - { size: 2, wrod: beta }\n";
    let found = mistakes(text);
    assert_eq!(found.len(), 5, "{found:#?}");
    assert_eq!(found[0], "1:1: nam: unknown key `nam`; did you mean `name`?");
    assert!(found[1].starts_with("3:13: list[0].size: invalid value: integer `300`"), "{}", found[1]);
    assert_eq!(found[2], "5:11: list[1].word: unknown value `alhpa`; did you mean `alpha`?");
    assert_eq!(found[3], "6:5: list[2]: `size` is missing");
    assert_eq!(found[4], "7:16: list[3].wrod: unknown key `wrod`; did you mean `word`?");
}

#[test]
fn what_is_right_is_kept() {
    let reading = read::<Top>("name: 137\nlist: [{ size: 1 }, { size: x }, { size: 3, word: beta }]").ok().unwrap();
    let top = reading.value.unwrap();
    assert_eq!(top.name, "137");
    assert_eq!(top.list.len(), 2);
    assert_eq!(reading.notes.len(), 1);
}

#[test]
fn broken_yaml_and_doubled_keys_name_their_line() {
    assert_eq!(read::<Top>("name: [\n").err().map(|m| m.line), Some(2));
    assert_eq!(read::<Top>("name: a\nname: b\n").err().map(|m| m.text.contains("duplicate")), Some(true));
}

#[test]
fn distance_counts_swaps_once() {
    assert_eq!(edits("adress", "address"), 1);
    assert_eq!(edits("wrod", "word"), 1);
    assert_eq!(nearest("interval", &["every", "timeout"]), None);
}
