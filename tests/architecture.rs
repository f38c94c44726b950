//! What `ARCHITECTURE.md` says that no room may do, checked by reading the sources: files stay small, import each
//! other in one direction only, and each room uses the rooms and crates that it is allowed to use.
//!
//! The reader of sources below knows as much Rust as this crate needs: comments, literals, `#[cfg(test)]`, `mod`, `use`
//! with nested braces, re-exports, and paths in the middle of code. The tests at the end check it on small trees.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The most lines that a file may have.
const MAX_LINES: usize = 800;

/// Files that may be longer, and why.
const LONG_FILES: &[(&str, &str)] = &[];

/// The rooms, lowest floor first, and the rooms that each may use. All of them stand before it.
const ROOMS: &[(&str, &[&str])] = &[
    ("time", &[]),
    ("picture", &[]),
    ("quality", &["picture"]),
    ("scene", &["time", "picture"]),
    ("structure", &["picture"]),
    ("bitstream", &["structure"]),
    ("encoder", &["time", "picture", "structure", "bitstream"]),
    ("decoder", &["picture", "bitstream"]),
    ("rtp", &["time", "picture", "structure", "bitstream"]),
    ("congestion", &["time", "rtp"]),
    ("select", &["time", "picture", "structure", "bitstream"]),
    ("relay", &["time", "picture", "structure", "rtp", "congestion", "select"]),
    ("e2ee", &["time", "structure", "rtp"]),
    (
        "session",
        &[
            "time",
            "picture",
            "structure",
            "encoder",
            "decoder",
            "rtp",
            "congestion",
            "relay",
            "e2ee",
            "select",
        ],
    ),
    (
        "simulate",
        &["time", "picture", "structure", "rtp", "congestion", "relay", "e2ee", "select", "session"],
    ),
];

/// Crates that one room alone may name, or one file.
const CRATES: &[(&str, &str)] = &[
    ("rav1e", "encoder/kernels.rs"),
    ("rayon", "encoder/"),
    ("rav1d", "decoder/mod.rs"),
    ("dav1d", "decoder/mod.rs"),
    ("ring", "e2ee/primitives/native.rs"),
    ("aes_gcm", "e2ee/primitives/browser.rs"),
    ("ed25519_dalek", "e2ee/primitives/browser.rs"),
    ("getrandom", "e2ee/primitives/browser.rs"),
    ("sframe", "e2ee/"),
    ("openmls", "e2ee/mls"),
    ("openmls_basic_credential", "e2ee/mls"),
    ("openmls_rust_crypto", "e2ee/mls"),
    ("hkdf", "e2ee/"),
    ("sha2", "e2ee/"),
    ("subtle", "e2ee/"),
    ("zeroize", "e2ee/"),
    ("rtcp_types", "congestion/feedback.rs"),
    ("oorandom", "simulate/"),
];

/// Parts of the standard library that read clocks, open files and sockets, or start threads.
const OUTSIDE_WORLD: &[&str] = &["env", "fs", "net", "process", "thread"];

#[test]
fn no_file_is_long() {
    let sources = sources("src");
    for (path, reason) in LONG_FILES {
        let lines = sources[*path].lines().count();
        assert!(lines > MAX_LINES, "{path} has {lines} lines: strike it from LONG_FILES ({reason})");
    }
    let long: Vec<_> = sources
        .iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(path, lines)| *lines > MAX_LINES && LONG_FILES.iter().all(|(long, _)| path != long))
        .collect();
    assert!(long.is_empty(), "files above {MAX_LINES} lines: {long:?}");
}

#[test]
fn each_file_is_a_module() {
    let sources = sources("src");
    for path in sources.keys().filter(|path| *path != "lib.rs") {
        let module = path.strip_suffix("/mod.rs").unwrap_or_else(|| path.strip_suffix(".rs").unwrap());
        let (folder, name) = module.rsplit_once('/').unwrap_or(("", module));
        let parents = [format!("{folder}.rs"), format!("{folder}/mod.rs")];
        let parent = parents.iter().find_map(|path| sources.get(path)).unwrap_or(&sources["lib.rs"]);
        let declared = tokens(parent).windows(3).any(|words| words == ["mod", name, ";"]);
        assert!(declared, "no file declares src/{path}: it is not compiled");
    }
}

#[test]
fn no_file_imports_in_a_circle() {
    let circle = Tree::new(&sources("src")).circle();
    assert!(circle.is_none(), "files that import each other: {}", circle.unwrap().join(" -> "));
}

#[test]
fn each_room_uses_what_it_may() {
    let tree = Tree::new(&sources("src"));
    let room = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
    let allowed: BTreeMap<_, _> = ROOMS.iter().copied().collect();
    for (at, (name, uses)) in ROOMS.iter().enumerate() {
        for used in *uses {
            assert!(ROOMS[..at].iter().any(|(below, _)| below == used), "{name} may not stand before {used}");
        }
    }
    let mut wrong = vec![];
    for (module, file) in tree.files.iter().filter(|(module, _)| !module.is_empty()) {
        let from = room(module);
        let may = *allowed.get(from.as_str()).unwrap_or_else(|| panic!("src/{from} is not among ROOMS"));
        for to in file.imports.iter().map(|to| room(to)) {
            // `crate::Time` and `crate::Size` are resolved to their rooms; nothing else is at the top.
            if to != from && !may.contains(&to.as_str()) {
                wrong.push(format!("{} uses {}", file.path, if to.is_empty() { "lib.rs" } else { &to }));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_crate_is_named_in_its_room() {
    let tree = Tree::new(&sources("src"));
    for (name, place) in CRATES {
        let users: Vec<_> =
            tree.files.values().filter(|file| file.crates.contains(*name)).map(|file| &file.path).collect();
        assert!(!users.is_empty(), "no file names {name}");
        let outside: Vec<_> = users.iter().filter(|path| !path.starts_with(place)).collect();
        assert!(outside.is_empty(), "{name} belongs to {place}, and {outside:?} name it");
    }
}

#[test]
fn nothing_reads_clocks_or_does_io() {
    for file in Tree::new(&sources("src")).files.values() {
        for word in ["Instant", "SystemTime", "UNIX_EPOCH", "tokio", "async", "await", "println", "eprintln"]
        {
            assert!(!file.tokens.iter().any(|token| token == word), "{} names {word}", file.path);
        }
        for module in OUTSIDE_WORLD {
            let path = ["std".to_owned(), (*module).to_owned()];
            assert!(
                !file.standard.iter().any(|used| used.starts_with(&path)),
                "{}: std::{module}",
                file.path
            );
        }
    }
}

#[test]
fn tests_do_not_reach_into_examples() {
    for (path, text) in sources("tests") {
        let tokens = tokens(&text);
        for (at, _) in tokens.iter().enumerate().filter(|(_, token)| *token == "path") {
            let is_attribute = at > 1 && tokens[at - 1] == "[" && tokens[at - 2] == "#";
            let names_examples = tokens.get(at + 2).is_some_and(|name| name.contains("examples"));
            assert!(!(is_attribute && names_examples), "tests/{path} has a #[path] into examples");
        }
    }
}

#[test]
fn the_document_names_each_room_and_its_invariant() {
    let document = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let sections: BTreeMap<&str, &str> = document
        .split("\n### ")
        .skip(1)
        .map(|section| section.split_once('\n').expect("a heading has a text"))
        .collect();
    for (room, _) in ROOMS {
        let found = sections.iter().find(|(heading, _)| heading.contains(&format!("`{room}`")));
        let (_, text) = found.unwrap_or_else(|| panic!("ARCHITECTURE.md has no section for {room}"));
        assert!(text.contains("**Invariant:**"), "ARCHITECTURE.md states no invariant of {room}");
    }
    // It names no file that is not there.
    let sources = sources("src");
    for name in
        document.split('`').skip(1).step_by(2).filter(|name| name.ends_with(".rs") && !name.contains('*'))
    {
        let is_there = sources.keys().any(|path| path == name || path.ends_with(&format!("/{name}")));
        assert!(is_there || root().join(name).exists(), "ARCHITECTURE.md names {name}, which is not there");
    }
}

#[test]
fn the_threat_model_names_tests_that_are_there() {
    let is_name = |word: &str| {
        word.matches('_').count() >= 2
            && word.chars().all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let document = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let names: Vec<_> = document.split('`').skip(1).step_by(2).filter(|word| is_name(word)).collect();
    // One is a function of a library.
    assert!(names.len() > 40, "{names:?}");
    let folders = ["src", "tests", "examples"].map(sources);
    for name in names.into_iter().filter(|name| *name != "dav1d_picture_unref") {
        let definition = format!("fn {name}(");
        let is_there =
            folders.iter().flat_map(|folder| folder.values()).any(|text| text.contains(&definition));
        assert!(is_there, "SECURITY.md names {name}, which is not there");
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files below a folder of the crate: their paths from there on, and their texts.
fn sources(folder: &str) -> BTreeMap<String, String> {
    fn collect(folder: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{prefix}{}", path.file_name().unwrap().to_string_lossy());
            if path.is_dir() {
                collect(&path, &format!("{name}/"), found);
            } else if name.ends_with(".rs") {
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(&root().join(folder), "", &mut found);
    assert!(!found.is_empty(), "no sources in {folder}");
    found
}

/// A file without its comments and its tests.
struct File {
    /// From the top of the tree on, such as `rtp/descriptor/mod.rs`.
    path: String,
    tokens: Vec<String>,
    /// The modules that it declares by `mod name;`.
    children: BTreeSet<String>,
    /// What it re-exports of modules that it declares itself: by name, the path. That imports nothing.
    exports: BTreeMap<String, Vec<String>>,
    /// All other paths of `use` items, by the name that each is known by in the file, and paths in the code.
    paths: Vec<(Option<String>, Vec<String>)>,
    /// The modules of the files that it imports from.
    imports: BTreeSet<String>,
    /// Other crates that it names.
    crates: BTreeSet<String>,
    /// Paths into the standard library.
    standard: Vec<Vec<String>>,
}

/// The files of a crate by their modules, such as `rtp::descriptor`; the top is the empty name.
struct Tree {
    files: BTreeMap<String, File>,
}

impl Tree {
    /// Reads the files that `lib.rs` declares, and that those declare, but for tests.
    fn new(sources: &BTreeMap<String, String>) -> Self {
        let mut files = BTreeMap::new();
        let mut open = vec![(String::new(), "lib.rs".to_owned())];
        while let Some((module, path)) = open.pop() {
            let file = File::new(&path, &sources[&path]);
            for child in &file.children {
                let module = join(&module, child);
                let stem = module.replace("::", "/");
                let candidates = [format!("{stem}.rs"), format!("{stem}/mod.rs")];
                let path = candidates.into_iter().find(|path| sources.contains_key(path));
                let path = path.unwrap_or_else(|| panic!("no file for module {module}"));
                open.push((module, path));
            }
            files.insert(module, file);
        }
        let mut tree = Self { files };
        let modules: Vec<_> = tree.files.keys().cloned().collect();
        for module in modules {
            let (imports, crates, standard) = tree.uses(&module);
            let file = tree.files.get_mut(&module).unwrap();
            (file.imports, file.crates, file.standard) = (imports, crates, standard);
        }
        tree
    }

    fn uses(&self, module: &str) -> (BTreeSet<String>, BTreeSet<String>, Vec<Vec<String>>) {
        let file = &self.files[module];
        let known: BTreeMap<&str, &[String]> =
            file.paths.iter().filter_map(|(name, path)| Some((name.as_deref()?, path.as_slice()))).collect();
        let (mut imports, mut crates, mut standard) = (BTreeSet::new(), BTreeSet::new(), vec![]);
        for (name, path) in &file.paths {
            // A path that starts with an imported name goes on from there.
            let path = match known.get(path[0].as_str()) {
                Some(start) if name.is_none() => [start, &path[1..]].concat(),
                _ => path.clone(),
            };
            match self.resolve(module, &path) {
                Some(found) if found != module => {
                    imports.insert(found);
                }
                Some(_) => {}
                None if ["std", "core", "alloc"].contains(&path[0].as_str()) => standard.push(path),
                None => {
                    crates.insert(path[0].clone());
                }
            }
        }
        (imports, crates, standard)
    }

    /// The module of the file that defines what a path in `module` names; `None` if it begins with another crate.
    fn resolve(&self, module: &str, path: &[String]) -> Option<String> {
        let mut rest = path.iter();
        let first = rest.next()?;
        let mut at = match first.as_str() {
            "crate" => String::new(),
            "self" | "Self" => module.to_owned(),
            "super" => parent(module),
            name if self.files[module].children.contains(name) => join(module, name),
            _ => return None,
        };
        while let Some(name) = rest.next() {
            if name == "super" {
                at = parent(&at);
            } else if self.files[&at].children.contains(name) {
                at = join(&at, name);
            } else if let Some(export) = self.files[&at].exports.get(name) {
                let further: Vec<_> = export.iter().chain(rest).cloned().collect();
                return self.resolve(&at, &further);
            } else {
                break;
            }
        }
        Some(at)
    }

    /// Files of which each imports from the next and the last from the first.
    fn circle(&self) -> Option<Vec<String>> {
        fn visit(tree: &Tree, at: &str, way: &mut Vec<String>, done: &mut BTreeSet<String>) -> bool {
            if way.iter().any(|module| module == at) {
                way.push(at.to_owned());
                return true;
            }
            if !done.contains(at) {
                way.push(at.to_owned());
                if tree.files[at].imports.iter().any(|next| visit(tree, next, way, done)) {
                    return true;
                }
                way.pop();
                done.insert(at.to_owned());
            }
            false
        }
        let mut done = BTreeSet::new();
        self.files.keys().find_map(|start| {
            let mut way = vec![];
            visit(self, start, &mut way, &mut done).then(|| {
                let first = way.iter().position(|module| Some(module) == way.last()).unwrap_or(0);
                way[first..].iter().map(|module| self.files[module].path.clone()).collect()
            })
        })
    }
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

fn parent(module: &str) -> String {
    module.rsplit_once("::").map_or(String::new(), |(parent, _)| parent.to_owned())
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        let tokens = without_tests(&tokens(text));
        let word = |at: usize| tokens.get(at).map_or("", String::as_str);
        let mut children = BTreeSet::new();
        let (mut items, mut paths) = (vec![], vec![]);
        // The depths at which modules were opened that are written within the file.
        let mut inline: Vec<usize> = vec![];
        let (mut at, mut depth) = (0, 0);
        while at < tokens.len() {
            match word(at) {
                "mod" if word(at + 2) == ";" => {
                    children.insert(tokens[at + 1].clone());
                    at += 3;
                }
                "mod" if word(at + 2) == "{" => {
                    inline.push(depth);
                    (depth, at) = (depth + 1, at + 3);
                }
                "{" => (depth, at) = (depth + 1, at + 1),
                "}" => {
                    (depth, at) = (depth - 1, at + 1);
                    inline.pop_if(|opened| *opened == depth);
                }
                "use" if word(at + 1) != "<" => {
                    let public = at > 0 && (word(at - 1) == "pub" || at > 3 && word(at - 4) == "pub");
                    let mut tree = vec![];
                    at = use_tree(&tokens, at + 1, &[], &mut tree);
                    let outside = |path| from_file(path, inline.len());
                    items.extend(tree.into_iter().map(|(name, path)| (public, name, outside(path))));
                }
                name if is_name(name) && word(at + 1) == "::" && (at == 0 || word(at - 1) != "::") => {
                    let mut path = vec![name.to_owned()];
                    while word(at + 1) == "::" && is_name(word(at + 2)) {
                        path.push(tokens[at + 2].clone());
                        at += 2;
                    }
                    // Types, such as `Self::new` and `Vec::new`, are imported or defined elsewhere.
                    if path[0].starts_with(|c: char| c.is_lowercase()) {
                        paths.push((None, from_file(path, inline.len())));
                    }
                    at += 1;
                }
                _ => at += 1,
            }
        }
        let mut exports = BTreeMap::new();
        for (public, name, used) in items {
            assert!(name != "*" || used != ["super"], "{path} imports super::*, which hides what it uses");
            let first = if used[0] == "self" { used.get(1) } else { used.first() };
            if public && first.is_some_and(|first| children.contains(first)) {
                exports.insert(name, used);
            } else {
                paths.push((Some(name), used));
            }
        }
        let (imports, crates, standard) = Default::default();
        Self { path: path.to_owned(), tokens, children, exports, paths, imports, crates, standard }
    }
}

/// A path in a module that is written within a file, as deep as `inline`, as the file itself would write it.
fn from_file(mut path: Vec<String>, inline: usize) -> Vec<String> {
    let up = path.iter().take(inline).take_while(|name| *name == "super").count();
    if up > 0 {
        path.splice(..up, (path.get(up).is_none_or(|name| name != "super")).then(|| "self".to_owned()));
    }
    path
}

/// Reads the tree of a `use` item from token `at` on: each name with its path. Returns the token after it.
fn use_tree(
    tokens: &[String],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<(String, Vec<String>)>,
) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens[at].as_str() {
            "{" => {
                at += 1;
                while tokens[at] != "}" {
                    at = use_tree(tokens, at, &path, found);
                    at += usize::from(tokens[at] == ",");
                }
                return at + 1;
            }
            "*" => {
                found.push(("*".to_owned(), path));
                return at + 1;
            }
            "::" => at += 1,
            name => {
                // `self` in braces is the path before them.
                if name != "self" || path.is_empty() {
                    path.push(name.to_owned());
                }
                at += 1;
                if tokens[at] == "as" {
                    found.push((tokens[at + 1].clone(), path));
                    return at + 2;
                }
                if tokens[at] != "::" {
                    found.push((path.last().cloned().unwrap_or_default(), path));
                    return at;
                }
            }
        }
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The names, signs and literals of a source, without comments. A character literal is left out.
fn tokens(text: &str) -> Vec<String> {
    let text: Vec<char> = text.chars().collect();
    let char_at = |at: usize| text.get(at).copied().unwrap_or('\0');
    let mut tokens: Vec<String> = vec![];
    let mut at = 0;
    while at < text.len() {
        let start = at;
        match (char_at(at), char_at(at + 1)) {
            ('/', '/') => {
                while at < text.len() && text[at] != '\n' {
                    at += 1;
                }
                continue;
            }
            ('/', '*') => {
                let mut depth = 0;
                while at < text.len() {
                    match (char_at(at), char_at(at + 1)) {
                        ('/', '*') => (depth, at) = (depth + 1, at + 2),
                        ('*', '/') => (depth, at) = (depth - 1, at + 2),
                        _ => at += 1,
                    }
                    if depth == 0 {
                        break;
                    }
                }
                continue;
            }
            (c, _) if c.is_whitespace() => {
                at += 1;
                continue;
            }
            ('"', _) => {
                // A raw literal ends at a quote with as many signs as it began with.
                let signs = tokens.iter().rev().take_while(|token| *token == "#").count();
                let before = tokens.iter().rev().nth(signs).map_or("", String::as_str);
                let raw = ["r", "br", "cr"].contains(&before)
                    && text[at - 1 - signs] == before.chars().last().unwrap();
                at += 1;
                loop {
                    match char_at(at) {
                        '\0' => break,
                        '\\' if !raw => at += 2,
                        '"' if !raw || (1..=signs).all(|sign| char_at(at + sign) == '#') => {
                            at += 1 + if raw { signs } else { 0 };
                            break;
                        }
                        _ => at += 1,
                    }
                }
            }
            ('\'', '\\') => {
                at += 3;
                while at < text.len() && text[at] != '\'' {
                    at += 1;
                }
                at += 1;
                continue;
            }
            ('\'', _) if char_at(at + 2) == '\'' => {
                at += 3;
                continue;
            }
            (':', ':') => at += 2,
            (c, _) if c.is_alphanumeric() || c == '_' => {
                while char_at(at).is_alphanumeric() || char_at(at) == '_' {
                    at += 1;
                }
            }
            _ => at += 1,
        }
        tokens.push(text[start..at.min(text.len())].iter().collect());
    }
    tokens
}

/// Leaves out the items that only tests have.
fn without_tests(tokens: &[String]) -> Vec<String> {
    let is = |at: usize, expected: &[&str]| {
        expected.iter().enumerate().all(|(n, token)| tokens.get(at + n).is_some_and(|found| found == token))
    };
    let mut kept = vec![];
    let mut at = 0;
    while at < tokens.len() {
        let of_tests =
            is(at, &["#", "[", "cfg", "(", "test"]) || is(at, &["#", "[", "cfg", "(", "all", "(", "test"]);
        if !of_tests {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        // Up to the item's semicolon or closing brace; its attributes are in brackets.
        let mut depth = 0;
        loop {
            match tokens.get(at).map(String::as_str) {
                None => break,
                Some("(" | "[" | "{") => depth += 1,
                Some(")" | "]" | "}") => depth -= 1,
                _ => {}
            }
            at += 1;
            if depth == 0 && (tokens[at - 1] == ";" || tokens[at - 1] == "}") {
                at += usize::from(tokens[at - 1] == "}" && is(at, &[";"]));
                break;
            }
        }
    }
    kept
}

/// A tree of files given as texts.
fn tree(files: &[(&str, &str)]) -> Tree {
    Tree::new(&files.iter().map(|&(path, text)| (path.to_owned(), text.to_owned())).collect())
}

/// What the file of a module imports.
fn imports(tree: &Tree, module: &str) -> Vec<String> {
    tree.files[module].imports.iter().cloned().collect()
}

#[test]
fn the_reader_finds_nested_imports_and_paths_in_code() {
    let tree = tree(&[
        ("lib.rs", "mod a; mod b; pub mod c; pub use c::{d::Deep, Plain as Other};"),
        ("a.rs", "use crate::{\n    b::{self, Thing},\n    Deep,\n};\nuse std::{fmt, net::TcpStream};"),
        ("b.rs", "fn f() -> crate::c::Plain { crate::c::d::g::<u8>(); rayon::join(|| 1, || 2) }"),
        ("c/mod.rs", "pub(crate) mod d; pub struct Plain;"),
        ("c/d.rs", "pub struct Deep; pub fn g<T>() {}"),
    ]);
    assert_eq!(imports(&tree, "a"), ["b", "c::d"]);
    assert_eq!(tree.files["a"].standard, [["std", "fmt"].to_vec(), ["std", "net", "TcpStream"].to_vec()]);
    assert_eq!(imports(&tree, "b"), ["c", "c::d"]);
    assert_eq!(tree.files["b"].crates, BTreeSet::from(["rayon".to_owned()]));
    assert_eq!(imports(&tree, ""), [""; 0]);
    assert_eq!(tree.circle(), None);
}

#[test]
fn the_reader_follows_names_of_modules() {
    let tree = tree(&[
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "use crate::b; fn f() { b::c::g(); b::Of::new(); }"),
        ("b/mod.rs", "pub mod c; mod of; pub use of::Of;"),
        ("b/c.rs", "pub fn g() {}"),
        ("b/of.rs", "pub struct Of;"),
    ]);
    assert_eq!(imports(&tree, "a"), ["b", "b::c", "b::of"]);
}

#[test]
fn the_reader_reads_modules_within_a_file() {
    let tree = tree(&[
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "mod m { use super::*; use super::super::b::B; fn f() { super::g(); } } use super::b;"),
        ("b.rs", "mod m { pub mod n { fn f() { super::super::g(); } } } pub struct B;"),
    ]);
    assert_eq!(imports(&tree, "a"), ["b"]);
    assert_eq!(imports(&tree, "b"), [""; 0]);
}

#[test]
fn the_reader_finds_circles() {
    let two = tree(&[
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "use super::b::B; pub struct A;"),
        ("b.rs", "pub struct B; impl B { fn f(_: crate::a::A) {} }"),
    ]);
    assert_eq!(two.circle().unwrap(), ["a.rs", "b.rs", "a.rs"]);
    let three = tree(&[
        ("lib.rs", "mod top; mod a; mod b; mod c;"),
        ("top.rs", "use crate::a::A;"),
        ("a.rs", "use super::{b, c::{C as _}};"),
        ("b.rs", "use crate::{\n    c::C,\n};"),
        ("c.rs", "use super::a::A; pub struct C;"),
    ]);
    assert_eq!(three.circle().unwrap(), ["a.rs", "b.rs", "c.rs", "a.rs"]);
    let parent = [("lib.rs", "mod a;"), ("a/b.rs", "use super::A; pub const B: A = A;")];
    let uses = tree(&[parent[0], parent[1], ("a/mod.rs", "mod b; pub struct A; fn f() { b::B; }")]);
    assert_eq!(uses.circle().unwrap(), ["a/mod.rs", "a/b.rs", "a/mod.rs"]);
    let exports = tree(&[parent[0], parent[1], ("a/mod.rs", "mod b; pub struct A; pub use b::B;")]);
    assert_eq!(exports.circle(), None);
}

#[test]
fn the_reader_passes_over_comments_literals_and_tests() {
    let tree = tree(&[
        ("lib.rs", "mod a; mod b; #[cfg(test)] mod tests;"),
        (
            "a.rs",
            r####"
            // use crate::b::B;
            /* use crate::b; /* crate::b::B */ */
            const TEXT: &str = "use crate::b::B; \" crate::b::B";
            const RAW: &str = r#"" crate::b::B "#;
            const QUOTE: char = '"';
            fn f<'a>(x: &'a str) -> impl Iterator<Item = u8> + use<'a> { x.bytes() }
            #[cfg(test)]
            use crate::b::B;
            #[cfg(all(test, feature = "x"))]
            #[allow(unused)]
            mod tests { use crate::b::B; fn g() { crate::b::f(); } }
            fn h() { crate::f(); }
            "####,
        ),
        ("b.rs", "pub struct B;"),
    ]);
    assert_eq!(imports(&tree, "a"), [""]);
    assert_eq!(tree.files.len(), 3);
}
