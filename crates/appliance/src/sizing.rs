//! How large a machine a model takes, and why.

/// What the appliance takes without a model, MiB.
const BARE_MIB: u64 = 256;

/// What UEFI firmware takes until it hands over, MiB: with less, it finds no room for the initramfs.
const UEFI_MIB: u64 = 256;

/// What kernel, llama.cpp and its context take beside a model, MiB.
const BESIDE_MIB: u64 = 384;

/// The part of a model's size that grows with it: what llama.cpp computes with.
const WORKING_PART: u64 = 8;

/// What must stay free of the host's memory, MiB.
const RESERVE_MIB: u64 = 512;

/// More processors than this are seldom faster: each token reads the whole model, and memory is what it waits for.
const MOST_CPUS: u32 = 8;

/// What the host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// Processors.
    pub cpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// The part of it that is free, MiB.
    pub available_mib: u64,
}

/// What somebody asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Virtual processors.
    pub cpus: Option<u32>,
    /// Memory, MiB.
    pub memory_mib: Option<u64>,
    /// A start with UEFI firmware.
    pub uefi: bool,
}

/// The size of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    /// Virtual processors.
    pub cpus: u32,
    /// Why so many.
    pub cpus_reason: String,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Why so much.
    pub memory_reason: String,
}

/// The host has too little memory for a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the model has {model_mib} MiB and its machine takes {needed_mib} MiB, but of this host's {memory_mib} MiB only \
     {available_mib} MiB are free. Use a smaller model, or one with fewer bits; or give it less with --memory-mib, and llama.cpp \
     reads weights from the disk again and again"
)]
pub struct TooLarge {
    /// The model's size.
    pub model_mib: u64,
    /// What the machine takes.
    pub needed_mib: u64,
    /// What the host has.
    pub memory_mib: u64,
    /// What is free of it.
    pub available_mib: u64,
}

/// Chooses the size of a machine with a model of so many bytes, or without one.
///
/// # Errors
/// The host has too little memory, and nobody asked for a size.
pub fn choose(model: Option<u64>, wanted: Wanted, host: Host) -> Result<Size, TooLarge> {
    let (cpus, cpus_reason) = match wanted.cpus {
        Some(cpus) => (cpus, "as asked".to_owned()),
        None if host.cpus > MOST_CPUS => {
            (MOST_CPUS, format!("of the host's {}, since more would wait for memory", host.cpus))
        }
        None => (host.cpus.max(1), "as many as the host has".to_owned()),
    };
    let firmware_mib = if wanted.uefi { UEFI_MIB } else { 0 };
    let model_mib = model.map(|bytes| bytes.div_ceil(1 << 20));
    let (memory_mib, memory_reason) = match (wanted.memory_mib, model_mib) {
        (Some(memory_mib), Some(model_mib)) if memory_mib < model_mib => {
            let again = "llama.cpp reads weights from the disk again and again";
            (memory_mib, format!("as asked, which is less than the model's {model_mib} MiB: {again}"))
        }
        (Some(memory_mib), _) => (memory_mib, "as asked".to_owned()),
        (None, None) => (BARE_MIB + firmware_mib, "there is no model".to_owned()),
        (None, Some(model_mib)) => {
            let working = model_mib / WORKING_PART;
            let needed_mib =
                model_mib.saturating_add(working + BESIDE_MIB + firmware_mib).next_multiple_of(64);
            if needed_mib > host.available_mib.saturating_sub(RESERVE_MIB) {
                let Host { memory_mib, available_mib, .. } = host;
                return Err(TooLarge { model_mib, needed_mib, memory_mib, available_mib });
            }
            let beside = needed_mib - model_mib;
            (
                needed_mib,
                format!("{model_mib} MiB of model, and {beside} MiB for kernel, llama.cpp and its context"),
            )
        }
    };
    Ok(Size { cpus, cpus_reason, memory_mib, memory_reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Host = Host { cpus: 4, memory_mib: 16_384, available_mib: 12_000 };

    fn size(model: Option<u64>, wanted: Wanted) -> Size {
        choose(model, wanted, HOST).unwrap()
    }

    #[test]
    fn memory_follows_the_model() {
        assert_eq!(size(None, Wanted::default()).memory_mib, 256);
        assert_eq!(size(Some(1), Wanted::default()).memory_mib, 448);
        let uefi = Wanted { uefi: true, ..Wanted::default() };
        assert_eq!((size(None, uefi).memory_mib, size(Some(1), uefi).memory_mib), (512, 704));
        let large = size(Some(4 << 30), Wanted::default());
        assert_eq!(large.memory_mib, 4992);
        assert!(large.memory_reason.starts_with("4096 MiB of model, and 896 MiB"), "{}", large.memory_reason);
    }

    #[test]
    fn what_is_asked_for_is_given() {
        let wanted = Wanted { cpus: Some(3), memory_mib: Some(1024), uefi: false };
        let small = size(Some(4 << 30), wanted);
        assert_eq!((small.cpus, small.memory_mib), (3, 1024));
        assert!(small.memory_reason.contains("again and again"), "{}", small.memory_reason);
        assert_eq!(size(Some(1 << 20), wanted).memory_reason, "as asked");
    }

    #[test]
    fn a_model_that_is_larger_than_the_host_is_told() {
        let told = choose(Some(64 << 30), Wanted::default(), HOST).unwrap_err();
        assert_eq!((told.model_mib, told.available_mib), (65_536, 12_000));
        assert!(told.to_string().contains("--memory-mib"));
        assert!(choose(Some(u64::MAX), Wanted::default(), HOST).is_err());
    }

    #[test]
    fn processors_are_the_hosts_and_not_too_many() {
        assert_eq!(size(None, Wanted::default()).cpus, 4);
        let many = choose(None, Wanted::default(), Host { cpus: 64, ..HOST }).unwrap();
        assert_eq!(many.cpus, 8);
        assert!(many.cpus_reason.contains("64"));
        assert_eq!(choose(None, Wanted::default(), Host { cpus: 0, ..HOST }).unwrap().cpus, 1);
    }
}
