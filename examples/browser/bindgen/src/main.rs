//! Writes the JavaScript of a wasm module: what the command `wasm-bindgen --target web` does, without another installation.

use anyhow::Context;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (module, directory) = arguments.next().zip(arguments.next()).context("MODULE.wasm DIRECTORY")?;
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).web(true)?.typescript(true);
    bindgen.remove_name_section(true).remove_producers_section(true).generate(directory)
}
