//! Which disk is the model's, and which file on it.

use crate::guest::Guest;

#[test]
fn label_and_not_place() {
    let Some(guest) = Guest::new("zosia.diag=1") else { return };
    guest.file("dev/vda", "").file("dev/vdc", "").model_disk("vdb").file("models/model.gguf", "");
    assert_eq!(
        guest.transcript(),
        "zosia: init\n\
         zosia: ignoring /dev/vda: its label is not ZOSIA_MODEL\n\
         zosia: ignoring /dev/vdc: its label is not ZOSIA_MODEL\n\
         zosia: diag\n\
         zosia: model_dev=/dev/vdb\n\
         zosia: llama_bin=none\n\
         zosia: model_path=/models/model.gguf\n\
         zosia: shutting down\n"
    );
    assert_eq!(guest.calls(), "mount -t ext4 -o ro /dev/vdb /models\n");
}

#[test]
fn partition() {
    let Some(guest) = Guest::new("zosia.diag=1") else { return };
    guest.model_disk("vda1").file("dev/vda", "");
    let console = guest.transcript();
    assert!(console.starts_with("zosia: init\nzosia: diag\nzosia: model_dev=/dev/vda1\n"), "{console}");
}

#[test]
fn disk_that_is_no_model() {
    let Some(guest) = Guest::new("zosia.ci=1") else { return };
    guest.file("dev/vda", "");
    assert_eq!(
        guest.transcript(),
        "zosia: init\n\
         zosia: ignoring /dev/vda: its label is not ZOSIA_MODEL\n\
         zosia: no virtio model disk found (/dev/vda..)\n\
         zosia: llama binary not found; starting stub prompt\n\
         zosia: ci mode; powering off\n\
         zosia: shutting down\n"
    );
    assert_eq!(guest.calls(), "", "something was mounted");
}

/// The disk is there, and diag says so.
#[test]
fn disk_that_cannot_be_mounted() {
    let Some(guest) = Guest::new("zosia.diag=1") else { return };
    guest.model_disk("vda").program("/bin/mount", "echo 'mount: no' >&2; exit 255");
    assert_eq!(
        guest.transcript(),
        "zosia: init\n\
         zosia: failed to mount model disk (/dev/vda) at /models\n\
         zosia: diag\n\
         zosia: model_dev=/dev/vda\n\
         zosia: llama_bin=none\n\
         zosia: model_path=none\n\
         zosia: shutting down\n"
    );
}

/// No program is started to look for what cannot be there.
#[test]
fn no_disk_is_looked_at() {
    let Some(guest) = Guest::new("zosia.diag=1") else { return };
    guest.program("/bin/findfs", "echo findfs >>/calls");
    guest.transcript();
    assert_eq!(guest.calls(), "");
}

/// Which of the files is the model.
macro_rules! files {
    ($($name:ident: $files:expr => $found:literal;)*) => { $(
        #[test]
        fn $name() {
            let Some(guest) = Guest::new("zosia.diag=1") else { return };
            guest.model_disk("vda");
            let files: &[&str] = &$files;
            for file in files {
                guest.file(&format!("models/{file}"), "");
            }
            let console = guest.transcript();
            assert!(console.contains(concat!("\nzosia: model_path=", $found, "\n")), "{console}");
        }
    )* };
}

files! {
    model_by_its_name: ["model.gguf", "a.gguf"] => "/models/model.gguf";
    first_of_other_models: ["b.gguf", "a.gguf"] => "/models/a.gguf";
    model_with_a_space: ["two words.gguf"] => "/models/two words.gguf";
    other_files: ["model.bin", "model.gguf.part"] => "none";
    no_file: [] => "none";
    folder_of_that_name: ["model.gguf/x", "z.gguf"] => "/models/z.gguf";
}
