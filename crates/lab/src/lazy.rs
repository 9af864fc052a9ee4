//! Libvirt's library, loaded when the first machine is asked for. It brings sixty others along, which take longer to load
//! than most commands take for everything else; and what only checks and plans works where it is not installed.
//!
//! ```text
//! virt (bindings) ──virConnectOpen──> the function of that name here ──dlsym──> libvirt.so.0
//! ```
//!
//! The bindings' calls end here, so the linker, which adds a library only as it is needed, leaves libvirt's out. Where it does
//! not, because the bindings call more than is listed here or the linker adds all that is named, everything works as before,
//! only slower. Each function hands the registers on as they came: a C function whose arguments are numbers and pointers
//! takes and returns machine words.

#![expect(
    unsafe_code,
    reason = "the functions of a library that is loaded later are called by their addresses"
)]

use std::{
    ffi::{CStr, c_void},
    sync::{
        OnceLock,
        atomic::{AtomicPtr, Ordering},
    },
};

/// What has the functions: the second one those that only QEMU's driver has.
const LIBRARIES: [&CStr; 2] = [c"libvirt.so.0", c"libvirt-qemu.so.0"];

/// Loads the library, if that was not done. Before this nothing of the bindings may be called.
///
/// # Errors
/// It is not installed: what the loader says.
pub(crate) fn load() -> Result<(), String> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    let open = |name: &CStr| {
        // SAFETY: the name ends with a zero. The library's own constructors run, as they did when the kernel loaded it.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
        if !handle.is_null() {
            return Ok(());
        }
        // SAFETY: what is returned is nothing, or a text that ends with a zero and lives until the next call.
        let said = unsafe { libc::dlerror().as_ref().map(|said| CStr::from_ptr(said)) };
        Err(said.map_or_else(|| "it cannot be loaded".to_owned(), |said| said.to_string_lossy().into_owned()))
    };
    LOADED.get_or_init(|| LIBRARIES.into_iter().try_for_each(open)).clone()
}

/// Where a function is. There is nothing to go on with when the library lacks one that every version has.
fn find(known: &AtomicPtr<c_void>, name: &CStr) -> *mut c_void {
    let mut address = known.load(Ordering::Acquire);
    if address.is_null() {
        // Behind this program, whose function of that name is the one that asks.
        // SAFETY: the name ends with a zero.
        address = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
        if address.is_null() {
            std::process::abort();
        }
        known.store(address, Ordering::Release);
    }
    address
}

macro_rules! functions {
    (@word $argument:ident) => { usize };
    ($($name:ident($($argument:ident)*))*) => {$(
        // SAFETY: the name is that of the function it stands for, and nothing else in the program has it.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: usize),*) -> usize {
            static KNOWN: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
            const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => c"",
            };
            type Function = unsafe extern "C" fn($(functions!(@word $argument)),*) -> usize;
            // SAFETY: it is the function of that name, which takes so many words.
            let function = unsafe { std::mem::transmute::<*mut c_void, Function>(find(&KNOWN, NAME)) };
            // SAFETY: the arguments are the caller's, who knows what they must be.
            unsafe { function($($argument),*) }
        }
    )*};
}

functions! {
    virConnectClose(a)
    virConnectGetURI(a)
    virConnectIsAlive(a)
    virConnectListAllDomains(a b c)
    virConnectListAllNetworks(a b c)
    virConnectOpen(a)
    virDomainAttachDeviceFlags(a b c)
    virDomainBlockResize(a b c d)
    virDomainCreateXML(a b c)
    virDomainDestroy(a)
    virDomainFree(a)
    virDomainGetName(a)
    virDomainGetState(a b c d)
    virDomainGetXMLDesc(a b)
    virDomainLookupByName(a b)
    virDomainQemuMonitorCommand(a b c d)
    virDomainResume(a)
    virDomainSetMetadata(a b c d e f)
    virDomainShutdown(a)
    virDomainSuspend(a)
    virGetLastError()
    virNetworkCreateXML(a b)
    virNetworkDestroy(a)
    virNetworkFree(a)
    virNetworkGetName(a)
    virNetworkGetXMLDesc(a b)
    virNetworkIsActive(a)
    virNetworkLookupByName(a b)
    virNetworkUpdate(a b c d e f)
    virSetErrorFunc(a b)
}
