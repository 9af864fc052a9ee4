//! `ai-how ssh-config`: OpenSSH's own way into a private lab, for programs that know nothing of labs.
//!
//! ```text
//! ssh, rsync, editor ──ssh -F──> ProxyCommand ai-how lab-proxy ──nsenter──> ai-how lab-connect ──TCP──> sshd of the node
//! ```

use std::{
    io::{self, Read, Write, stdin, stdout},
    net::{IpAddr, Shutdown, TcpStream},
    path::Path,
    thread,
    time::Duration,
};

use lab::{Folder, Private};
use system::{
    cancel::Cancel,
    environment,
    process::{Command, shell_quote},
};

use crate::{
    cli::{self, At, Format},
    document, exit,
    failure::Failure,
    output,
    settings::Settings,
};

/// How long a node may take to accept a connection.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn config(at: &At, format: Format, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    let (_, site) = document::site(&at.lab(), settings)?;
    let plan = site.as_started(cancel)?.ok_or_else(|| engine::Error::NotRunning { lab: site.folder.id() })?;
    let proxy = match at.place {
        cli::Place::System => None,
        cli::Place::Private => {
            let program = environment::current_program().map_err(Failure::environment)?;
            // What stands in the configuration is read by a shell, after `%` has been replaced.
            let word = |path: &Path| shell_quote(path.as_os_str()).replace('%', "%%");
            Some(format!("{} lab-proxy {} %h %p", word(&program), word(site.folder.path())))
        }
    };
    let access = engine::outer_ssh_access(&site.folder, proxy);
    match format {
        Format::Text => output::data(render::ssh_config(&plan, &access))?,
        Format::Json => output::json(&render::ssh_hosts(&plan, &access))?,
    }
    Ok(exit::OK)
}

/// Enters the lab of a folder and connects there.
pub(crate) fn proxy(folder: &Path, address: IpAddr, port: u16) -> Result<u8, Failure> {
    let folder = Folder::at(folder);
    let absent = || engine::Error::NotRunning { lab: folder.id() };
    let lab = Private::find(&folder).ok_or_else(absent)?;
    let program = environment::current_program().map_err(Failure::environment)?;
    let command = Command::new_from(lab.enter()).arg(program).arg("lab-connect");
    let code =
        command.arg(address.to_string()).arg(port.to_string()).interactive().map_err(Failure::environment)?;
    Ok(u8::try_from(code).unwrap_or(exit::FAILED))
}

/// Standard input to a node, and what it answers to standard output, until either ends.
pub(crate) fn connect(address: IpAddr, port: u16) -> Result<u8, Failure> {
    let stream = TcpStream::connect_timeout(&(address, port).into(), LIMIT).map_err(|error| {
        Failure::new(exit::FAILED, format!("cannot connect to {address}:{port}: {error}"))
    })?;
    let up = stream.try_clone().map_err(Failure::environment)?;
    // Nobody waits for this one: standard input may never end, and who does not answer any more does not listen either.
    thread::spawn(move || {
        // The other side learns that nothing more comes; whatever went wrong, it ends the same way.
        let _ = relay(stdin().lock(), &up);
        let _ = up.shutdown(Shutdown::Write);
    });
    let told = relay(&stream, stdout().lock());
    Ok(if told.is_ok() { exit::OK } else { exit::FAILED })
}

/// Hands on what comes, as it comes. `io::copy` leaves it to the kernel (`splice`), and then OpenSSH is not woken.
fn relay(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(&buffer[..count])?;
        to.flush()?;
    }
}
