//! The agent in a guest, over the virtio-serial port `ai-how.agent`: one JSON object a line in both directions. It gives
//! a copy of a template its identity before anybody can see it; `usr/lib/ai-how/agent` of the image is the other side.
//!
//! It is not QEMU's guest agent: that one starts a program for everything that matters here, and on an emulated processor
//! a program costs as much as the whole identity does when one process that is already there takes it.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;
use serde_json::{Value, json};
use system::{
    cancel::Cancel,
    clock::{self, Stopwatch},
    file::SocketFolder,
    process::Output,
};

/// How often a wait for an answer looks whether somebody wants to stop.
const LOOK: Duration = Duration::from_millis(100);

/// Why the agent did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection cannot be made, or broke.
    #[error("the agent of {node} cannot be reached")]
    Unreachable {
        /// The node.
        node: String,
        /// What the system says.
        source: io::Error,
    },
    /// Nothing came back.
    #[error("the agent of {node} does not answer within {} s", limit.as_secs())]
    Silent {
        /// The node.
        node: String,
        /// How long it had.
        limit: Duration,
    },
    /// It says why it did not.
    #[error("the agent of {node} refuses: {said}")]
    Refused {
        /// The node.
        node: String,
        /// Its words.
        said: String,
    },
    /// Somebody asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// A file that only this node has.
#[derive(Debug, Clone)]
pub struct OwnFile {
    /// Where it goes.
    pub path: String,
    /// What is in it.
    pub content: Vec<u8>,
    /// Permissions.
    pub mode: u32,
    /// User and group it belongs to; root without.
    pub owner: Option<String>,
}

/// A network card's address.
#[derive(Debug, Clone, Serialize)]
pub struct Card {
    /// The card, by its hardware address.
    pub mac: String,
    /// IPv4.
    pub address: String,
    /// IPv4.
    pub netmask: String,
    /// Where the way out is, if over this card.
    pub gateway: Option<String>,
}

/// Who a copy is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its host name.
    pub hostname: String,
    /// 32 hexadecimal digits.
    pub machine_id: String,
    /// What its random numbers start from.
    pub entropy: Vec<u8>,
    /// SSH host keys, who may log in, secrets.
    pub files: Vec<OwnFile>,
    /// Brought up when all of the above is done.
    pub cards: Vec<Card>,
}

/// A conversation with one node's agent.
#[derive(Debug)]
pub struct Agent<'a> {
    stream: BufReader<UnixStream>,
    node: &'a str,
    limit: Duration,
    cancel: &'a Cancel,
}

impl<'a> Agent<'a> {
    /// Connects to the agent whose socket is `<sockets>/<domain>.agent`. Each answer may take `limit`.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub fn open(
        sockets: &Path,
        domain: &str,
        node: &'a str,
        limit: Duration,
        cancel: &'a Cancel,
    ) -> Result<Self, Error> {
        let connect = || {
            let stream = UnixStream::connect(SocketFolder::open(sockets)?.path(format!("{domain}.agent")))?;
            stream.set_read_timeout(Some(LOOK))?;
            Ok(BufReader::new(stream))
        };
        let stream = connect().map_err(|source| Error::Unreachable { node: node.to_owned(), source })?;
        Ok(Self { stream, node, limit, cancel })
    }

    /// Seconds to add to the node's clock to make it this host's. Half of the time that the answer takes is how far off
    /// it can be.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn clock_offset(&mut self) -> Result<f64, Error> {
        // The first answer is slow: nothing of what it takes has been translated yet.
        self.ask(json!({"do": "clock"}))?;
        let watch = Stopwatch::start();
        let before = clock::now().as_duration().as_secs_f64();
        let answer = self.ask(json!({"do": "clock"}))?;
        let there = answer["time"].as_f64().ok_or_else(|| self.refused(&answer))?;
        Ok(before + watch.seconds() / 2.0 - there)
    }

    /// Makes the node's clock this host's.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn set_clock(&mut self) -> Result<(), Error> {
        let add = self.clock_offset()?;
        self.ask(json!({"do": "clock", "add": add})).map(drop)
    }

    /// Makes a copy of a template a machine of its own.
    ///
    /// # Errors
    /// See [`Error`]. The machine is then in no state to be used.
    pub fn identity(&mut self, identity: &Identity) -> Result<(), Error> {
        let clock_offset = self.clock_offset()?;
        let files: Vec<Value> = identity
            .files
            .iter()
            .map(|file| {
                json!({
                    "path": file.path,
                    "content": BASE64_STANDARD.encode(&file.content),
                    "mode": file.mode,
                    "owner": file.owner,
                })
            })
            .collect();
        self.ask(json!({
            "do": "identity",
            "clock_offset": clock_offset,
            "hostname": identity.hostname,
            "machine_id": identity.machine_id,
            "entropy": BASE64_STANDARD.encode(&identity.entropy),
            "files": files,
            "interfaces": identity.cards,
        }))
        .map(drop)
    }

    /// Lets a copy do what could wait until every copy has its identity. It does it by itself.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn settle(&mut self) -> Result<(), Error> {
        self.send(json!({"do": "settle"})).map(drop)
    }

    /// Runs a shell script as root and returns what it left behind, whatever its exit status.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn run(&mut self, script: &str) -> Result<Output, Error> {
        let answer = self.ask(json!({"do": "run", "script": script}))?;
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        let code = answer["code"].as_i64().and_then(|code| i32::try_from(code).ok());
        let code = code.ok_or_else(|| self.refused(&answer))?;
        Ok(Output { code, stdout: text("out"), stderr: text("err") })
    }

    /// Puts everything that was written so far on the disk.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn sync(&mut self) -> Result<(), Error> {
        self.ask(json!({"do": "sync"})).map(drop)
    }

    /// Sends a request, and tells the number that its answer will bear.
    fn send(&mut self, mut request: Value) -> Result<String, Error> {
        let unreachable = |source| Error::Unreachable { node: self.node.to_owned(), source };
        // Unlike that of any request that was sent before, by whatever process.
        let id = clock::now().as_nanosecond().to_string();
        request["id"] = json!(id);
        let line = format!("{request}\n");
        self.stream.get_mut().write_all(line.as_bytes()).map_err(unreachable)?;
        Ok(id)
    }

    fn ask(&mut self, request: Value) -> Result<Value, Error> {
        let id = self.send(request)?;
        let watch = Stopwatch::start();
        loop {
            let line = self.line(watch)?;
            let answer: Value = serde_json::from_str(&line).unwrap_or(Value::String(line));
            // An answer to a question that somebody else no longer waits for.
            if answer.get("id").is_some_and(|other| *other != id) {
                continue;
            }
            if answer.get("id").is_none() || answer.get("error").is_some() {
                return Err(self.refused(&answer));
            }
            return Ok(answer);
        }
    }

    /// The next line the agent says.
    fn line(&mut self, watch: Stopwatch) -> Result<String, Error> {
        let unreachable = |source| Error::Unreachable { node: self.node.to_owned(), source };
        let mut line = String::new();
        loop {
            match self.stream.read_line(&mut line) {
                Ok(0) => return Err(unreachable(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => return Ok(line),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                }
                Err(source) => return Err(unreachable(source)),
            }
            if self.cancel.requested() {
                return Err(Error::Interrupted);
            }
            if watch.elapsed() > self.limit {
                return Err(Error::Silent { node: self.node.to_owned(), limit: self.limit });
            }
        }
    }

    fn refused(&self, answer: &Value) -> Error {
        let said = answer["error"].as_str().map_or_else(|| format!("it said {answer}"), str::to_owned);
        Error::Refused { node: self.node.to_owned(), said }
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, thread};

    use super::*;

    /// An agent that gives these answers, one after the other, and returns what it was asked.
    fn agent(folder: &Path, answers: &'static [&'static str]) -> thread::JoinHandle<Vec<Value>> {
        let listener = UnixListener::bind(folder.join("n.agent")).unwrap();
        thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let mut heard = Vec::new();
            for answer in answers {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                let request: Value = serde_json::from_str(&line).unwrap();
                let answer = answer.replace("ID", request["id"].as_str().unwrap());
                heard.push(request);
                stream.get_mut().write_all(format!("{answer}\n").as_bytes()).unwrap();
            }
            // Stays there without a word, as a guest that hangs does.
            while stream.read_line(&mut String::new()).is_ok_and(|bytes| bytes > 0) {}
            heard
        })
    }

    fn open<'a>(folder: &Path, cancel: &'a Cancel) -> Agent<'a> {
        Agent::open(folder, "n", "n", Duration::from_millis(300), cancel).unwrap()
    }

    fn identity() -> Identity {
        Identity {
            hostname: "n".into(),
            machine_id: "0".repeat(32),
            entropy: vec![1, 2, 3],
            files: vec![OwnFile {
                path: "/etc/key".into(),
                content: b"secret".to_vec(),
                mode: 0o400,
                owner: Some("munge".into()),
            }],
            cards: Vec::new(),
        }
    }

    #[test]
    fn the_clock_is_part_of_the_identity() {
        let (folder, cancel) = (tempfile::tempdir().unwrap(), Cancel::new());
        let there = agent(
            folder.path(),
            &[r#"{"id":"ID","time":0}"#, r#"{"id":"ID","time":1000.5}"#, r#"{"id":"ID"}"#],
        );
        let mut agent = open(folder.path(), &cancel);
        agent.identity(&identity()).unwrap();
        drop(agent);
        let heard = there.join().unwrap();
        let now = clock::now().as_duration().as_secs_f64();
        let offset = heard[2]["clock_offset"].as_f64().unwrap();
        assert!((now - 1000.5 - offset).abs() < 1.0, "{offset}");
        assert_eq!(heard[2]["files"][0]["content"], BASE64_STANDARD.encode("secret"));
    }

    #[test]
    fn an_error_is_passed_on() {
        let (folder, cancel) = (tempfile::tempdir().unwrap(), Cancel::new());
        let _agent = agent(folder.path(), &[r#"{"id":"ID","error":"no such port"}"#]);
        let error = open(folder.path(), &cancel).clock_offset().unwrap_err();
        assert_eq!(error.to_string(), "the agent of n refuses: no such port");
    }

    #[test]
    fn a_late_answer_to_another_is_passed_over() {
        let (folder, cancel) = (tempfile::tempdir().unwrap(), Cancel::new());
        const LATE: &str =
            "{\"id\":\"7\",\"error\":\"late\"}\n{\"id\":\"ID\",\"code\":3,\"out\":\"x\",\"err\":\"\"}";
        let _agent = agent(folder.path(), &[LATE]);
        let output = open(folder.path(), &cancel).run("exit 3").unwrap();
        assert_eq!((output.code, output.stdout.as_str()), (3, "x"));
    }

    #[test]
    fn noise_is_an_error() {
        let (folder, cancel) = (tempfile::tempdir().unwrap(), Cancel::new());
        let _agent = agent(folder.path(), &["}{"]);
        let error = open(folder.path(), &cancel).clock_offset().unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
    }

    #[test]
    fn silence_ends_and_a_stop_is_heard() {
        let (folder, cancel) = (tempfile::tempdir().unwrap(), Cancel::new());
        let _agent = agent(folder.path(), &[]);
        let error = open(folder.path(), &cancel).clock_offset().unwrap_err();
        assert!(matches!(error, Error::Silent { .. }), "{error}");

        let (folder, cancel) = (tempfile::tempdir().unwrap(), Cancel::new());
        let _agent = agent(folder.path(), &[]);
        cancel.request();
        let error = open(folder.path(), &cancel).clock_offset().unwrap_err();
        assert!(matches!(error, Error::Interrupted), "{error}");
    }

    #[test]
    fn a_machine_that_is_off_has_no_agent() {
        let (folder, cancel) = (tempfile::tempdir().unwrap(), Cancel::new());
        let error = Agent::open(folder.path(), "n", "n", Duration::ZERO, &cancel).unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    }
}
