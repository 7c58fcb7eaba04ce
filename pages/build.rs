//! Puts the code of README and of each page of the guide together as its reader would, for the tests in `src/code.rs`.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

/// The line of a page's first piece of code in whose place its other pieces go, one after the other.
const ROOM: &str = "    // The code of this page, in its order.\n";

const READMES: [&str; 5] = [
    "../README.md",
    "../event-sourcery/README.md",
    "../event-sourcery-macros/README.md",
    "../event-sourcery-postgres/README.md",
    "../event-sourcery-sqlite/README.md",
];

const GUIDE: &str = "../event-sourcery/guide";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={GUIDE}");
    let mut code = String::new();
    for readme in READMES {
        println!("cargo::rerun-if-changed={readme}");
        code += &module(Path::new(readme))?;
    }
    for page in fs::read_dir(GUIDE)? {
        let page = page?.path();
        // The pictures stand there too.
        if page.is_file() {
            code += &module(&page)?;
        }
    }
    fs::write(Path::new(&env::var("OUT_DIR")?).join("pages.rs"), code)?;
    Ok(())
}

/// A module with the code of a page.
fn module(page: &Path) -> Result<String, Box<dyn Error>> {
    let pieces =
        pieces(&fs::read_to_string(page)?).map_err(|problem| format!("{}: {problem}", page.display()))?;
    let code = match pieces.split_first() {
        Some((first, others)) if first.contains(ROOM) => test(&first.replace(ROOM, &nested(others))),
        _ => (1..)
            .zip(&pieces)
            .map(|(number, piece)| format!("mod piece_{number} {{\n{}}}\n", test(piece)))
            .collect(),
    };
    let name = page.with_extension("").to_string_lossy().replace(['.', '/', '-'], "_").to_lowercase();
    Ok(format!("/// {}\nmod {} {{\n{code}}}\n", page.display(), name.trim_start_matches('_')))
}

/// Its pieces of Rust, whole: a line that rustdoc would hide is no Rust, and does not compile.
fn pieces(page: &str) -> Result<Vec<String>, String> {
    let mut pieces = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let piece =
            lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        match language {
            "rust" => pieces.push(piece),
            "sh" | "text" | "toml" => {}
            other => {
                return Err(format!(
                    "code that is {other:?} is not looked at: write `rust`, `sh`, `text` or `toml`"
                ));
            }
        }
    }
    Ok(pieces)
}

/// Each piece sees those above it, and may give one of their names another meaning.
fn nested(pieces: &[String]) -> String {
    pieces.iter().rev().fold(String::new(), |below, piece| format!("{{\n{piece}{below}}}\n"))
}

/// Code, and a test that runs it where it is a program.
fn test(code: &str) -> String {
    let run = "#[test]\nfn runs() {\n    crate::running::run(module_path!(), || main().unwrap());\n}\n";
    format!("{code}{}", if code.contains("fn main()") { run } else { "" })
}
