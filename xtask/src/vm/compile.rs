//! Compiling C for a guest: tests compile their programs when they run, and a guest has no clang, so its `clang` sends the
//! call here. So a test is written for a VM as for the host, and any C text works. What was compiled for one kernel is
//! not compiled again for the next.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// The longest call or C text that is taken: a program of a thousand functions is far below.
const BYTES_MAX: usize = 4 << 20;

/// Clang for guests, with what it answered so far.
pub(super) struct Compiler {
    root: PathBuf,
    answers: Mutex<BTreeMap<Call, Answer>>,
}

/// One call of clang.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    folder: PathBuf,
    arguments: Vec<String>,
    source: Vec<u8>,
}

/// The object, or what clang said.
#[derive(Clone)]
struct Answer {
    status: i32,
    bytes: Vec<u8>,
}

impl Compiler {
    /// Sources below `root` are compiled where they are, with the headers beside them; others come with the call.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), answers: Mutex::default() }
    }

    /// Answers one guest until it ends.
    pub(super) fn serve(&self, stream: &UnixStream) -> Result<()> {
        let mut reader = BufReader::new(stream);
        let mut writer = stream;
        while let Some(call) = Call::read(&mut reader)? {
            let answer = self.answer(&call);
            writeln!(writer, "{} {}", answer.status, answer.bytes.len())
                .and_then(|()| writer.write_all(&answer.bytes))
                .context("the guest could not be answered")?;
        }
        Ok(())
    }

    fn answer(&self, call: &Call) -> Answer {
        // A guest's temporary folders have other names every time; what is compiled does not depend on them.
        let key = Call { arguments: call.without_paths(), ..call.clone() };
        if let Some(answer) = self.answers().get(&key) {
            return answer.clone();
        }
        let answer = self.compile(call).unwrap_or_else(|error| Answer {
            status: 1,
            bytes: format!("{error:#}\n").into_bytes(),
        });
        self.answers().insert(key, answer.clone());
        answer
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, BTreeMap<Call, Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compile(&self, call: &Call) -> Result<Answer> {
        let folder = tempfile::tempdir().context("no temporary folder could be made")?;
        let (input, object) = (folder.path().join("guest.bpf.c"), folder.path().join("guest.o"));
        std::fs::write(&input, &call.source).context("the C text could not be written")?;
        let mut clang = Command::new("clang");
        clang.current_dir(if call.folder.starts_with(&self.root) {
            &call.folder
        } else {
            folder.path()
        });
        let mut after_o = false;
        for argument in &call.arguments {
            let is_source = argument.ends_with(".c");
            if after_o {
                clang.arg(&object);
            } else if is_source && !call.folder.join(argument).starts_with(&self.root) {
                clang.arg(&input);
            } else {
                clang.arg(argument);
            }
            after_o = argument == "-o";
        }
        let output = clang.stdin(Stdio::null()).output().context("clang could not be started")?;
        if output.status.success() {
            let bytes = std::fs::read(&object).context("clang wrote no object")?;
            return Ok(Answer { status: 0, bytes });
        }
        Ok(Answer { status: 1, bytes: output.stderr })
    }
}

impl Call {
    /// `<bytes of the call> <bytes of the text>`, the folder and the arguments a line each, the text. None at the end.
    fn read(reader: &mut impl BufRead) -> Result<Option<Self>> {
        let mut header = String::new();
        if reader.read_line(&mut header).context("the guest's call could not be read")? == 0 {
            return Ok(None);
        }
        let said = || format!("the guest's clang said {header:?}, which is no call");
        let (call, source) = header.trim().split_once(' ').with_context(said)?;
        let mut take = |length: &str| -> Result<Vec<u8>> {
            let length: usize = length.trim().parse().ok().with_context(said)?;
            anyhow::ensure!(length <= BYTES_MAX, "a call of {length} bytes is too long");
            let mut bytes = vec![0; length];
            reader.read_exact(&mut bytes).context("the guest's call could not be read")?;
            Ok(bytes)
        };
        let call = String::from_utf8(take(call)?).context("the guest's call is not text")?;
        let source = take(source)?;
        let mut lines = call.lines().map(str::to_owned);
        let folder = lines.next().with_context(said)?.into();
        Ok(Some(Self { folder, arguments: lines.collect(), source }))
    }

    fn without_paths(&self) -> Vec<String> {
        let is_guests = |argument: &String| argument.starts_with("/tmp/");
        self.arguments.iter().filter(|argument| !is_guests(argument)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const FLAGS: [&str; 4] = ["-O2", "-target", "bpf", "-c"];

    /// A call as the guest's script writes it.
    fn call(folder: &str, source: &str) -> Vec<u8> {
        let mut call = "/tmp\n".to_owned();
        for argument in FLAGS {
            call.push_str(argument);
            call.push('\n');
        }
        call.push_str(&format!("{folder}/t.bpf.c\n-o\n{folder}/t.o\n"));
        format!("{} {}\n{call}{source}", call.len(), source.len()).into_bytes()
    }

    #[test]
    fn a_guest_gets_its_object_or_what_clang_said() {
        let compiler = Compiler::new(Path::new("/nowhere"));
        let (guest, host) = UnixStream::pair().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| compiler.serve(&host).unwrap());
            for (folder, source, status) in
                [("/tmp/a", "int one = 1;", 0), ("/tmp/b", "int one = 1;", 0), ("/tmp/c", "int", 1)]
            {
                (&guest).write_all(&call(folder, source)).unwrap();
                let mut reader = BufReader::new(&guest);
                let mut header = String::new();
                reader.read_line(&mut header).unwrap();
                let (said, length) = header.trim().split_once(' ').unwrap();
                assert_eq!(said, status.to_string());
                let mut bytes = vec![0; length.parse().unwrap()];
                reader.read_exact(&mut bytes).unwrap();
                assert_eq!(bytes.starts_with(b"\x7fELF"), status == 0);
            }
            guest.shutdown(std::net::Shutdown::Both).unwrap();
        });
        assert_eq!(compiler.answers().len(), 2, "the same text is compiled once");
    }

    #[test]
    fn a_call_that_is_none_ends_the_service() {
        assert!(Call::read(&mut b"nonsense\n".as_slice()).is_err());
        assert!(Call::read(&mut b"1 99999999\nx".as_slice()).is_err());
        assert!(Call::read(&mut b"".as_slice()).unwrap().is_none());
    }
}
