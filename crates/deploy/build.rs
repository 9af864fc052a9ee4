//! Rebuilds the crate when a file is added to the playbook; changes of the files it has are seen without this.

fn main() {
    println!("cargo::rerun-if-changed=../../ansible");
}
