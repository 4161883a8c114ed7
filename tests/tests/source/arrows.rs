//! Proves from the `use` lines that the arrows of the design never turn back.
//!
//! Three rules: no two modules of a program depend on each other, in however many steps; what lies earlier in the flow
//! knows nothing of what lies later; the engine knows no clock, no network and no disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

type Uses = BTreeMap<String, BTreeSet<String>>;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.to_string_lossy().ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// Returns the code of a file without comments and without its test module, which stands last.
fn code_of(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Names the top-level modules that a piece of code mentions as `crate::name`, also inside `use crate::{...}`.
fn modules_mentioned(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for (_, rest) in code.match_indices("crate::").map(|(at, found)| (at, &code[at + found.len()..])) {
        match rest.strip_prefix('{') {
            None => drop(found.insert(word(rest))),
            Some(group) => found.extend(names_of_group(group).iter().map(|name| word(name))),
        }
    }
    found
}

/// Splits the inside of `{...}` at its own commas.
fn names_of_group(group: &str) -> Vec<String> {
    let (mut depth, mut names) = (0, vec![String::new()]);
    for letter in group.chars() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(String::new()),
            _ if letter.is_whitespace() => {}
            _ => names.last_mut().unwrap().push(letter),
        }
    }
    names
}

/// Which top-level module uses which, without the crate's own root.
fn uses_of(program: &str) -> Uses {
    let root = repository().join(program).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    let mut uses = Uses::new();
    for file in files {
        let inside = file.strip_prefix(&root).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        // A module's commands stand beside its work, but they are part of the command line.
        let is_command = ["cli.rs", "command.rs"].iter().any(|name| inside.ends_with(name));
        let module = if is_command { "cli" } else { first.trim_end_matches(".rs") }.to_string();
        if !["lib", "main"].contains(&module.as_str()) {
            uses.entry(module).or_default().extend(modules_mentioned(&code_of(&file)));
        }
    }
    let modules: BTreeSet<_> = uses.keys().cloned().collect();
    for (module, used) in &mut uses {
        used.retain(|name| name != module && modules.contains(name));
    }
    uses
}

fn find_cycle(uses: &Uses) -> Option<Vec<String>> {
    uses.keys().find_map(|start| {
        let mut trail = vec![start.clone()];
        returns_to(start, start, uses, &mut trail, &mut BTreeSet::new()).then_some(trail)
    })
}

fn returns_to(start: &str, module: &str, uses: &Uses, trail: &mut Vec<String>, seen: &mut BTreeSet<String>) -> bool {
    for next in uses.get(module).into_iter().flatten() {
        trail.push(next.clone());
        if next == start || (seen.insert(next.clone()) && returns_to(start, next, uses, trail, seen)) {
            return true;
        }
        trail.pop();
    }
    false
}

fn assert_knows_nothing_of(uses: &Uses, module: &str, later: &[&str]) {
    let used = uses.get(module).cloned().unwrap_or_default();
    let back: Vec<_> = later.iter().filter(|name| used.contains(**name)).collect();
    assert!(back.is_empty(), "`{module}` uses {back:?}, which come after it");
}

#[test]
fn the_reader_of_use_lines_reads_them() {
    let code = "use crate::log::{Log, Position};\nuse crate::{engine::Engine, kpi, view::{a, b}};\nfn f() { crate::clock::tick() }";
    let expected: BTreeSet<_> = ["clock", "engine", "kpi", "log", "view"].map(String::from).into();
    assert_eq!(modules_mentioned(code), expected);
}

#[test]
fn no_module_of_a_program_depends_on_itself_through_others() {
    for program in ["agent", "collector"] {
        let cycle = find_cycle(&uses_of(program));
        assert!(cycle.is_none(), "{program}: {}", cycle.unwrap_or_default().join(" -> "));
    }
}

#[test]
fn the_agent_flows_from_probe_to_uplink() {
    let uses = uses_of("agent");
    let flow = ["packet", "socket", "probe", "spool", "uplink", "app"];
    for (place, module) in flow.iter().enumerate() {
        assert_knows_nothing_of(&uses, module, &flow[place + 1..]);
    }
}

#[test]
fn the_collector_flows_from_log_to_pages() {
    let uses = uses_of("collector");
    let readers = ["view", "web", "api", "notify", "sink", "report"];
    for earlier in ["identity", "ingest", "log", "dating", "engine", "history", "kpi", "inventory", "store"] {
        assert_knows_nothing_of(&uses, earlier, &readers);
        assert_knows_nothing_of(&uses, earlier, &["app", "cli"]);
    }
    assert_knows_nothing_of(&uses, "log", &["ingest", "advance", "engine"]);
    assert_knows_nothing_of(&uses, "view", &["web", "api"]);
}

#[test]
fn the_engine_knows_no_clock_no_network_and_no_disk() {
    let mut files = Vec::new();
    rust_files(&repository().join("collector/src/engine"), &mut files);
    for file in files {
        let code = code_of(&file);
        for word in
            ["tokio", "rusqlite", "tracing", "std::fs", "std::net", "SystemTime", "Instant", "async fn", "crate::store", "crate::log::Log"]
        {
            assert!(!code.contains(word), "{} mentions {word}", file.display());
        }
    }
}
