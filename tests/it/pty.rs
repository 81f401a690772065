//! A pseudo terminal for the program: its standard input and error are one side of it, and the test sits at the other.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

/// A terminal with somebody at it.
pub(crate) struct Pty {
    keyboard: File,
    program: OwnedFd,
    screen: Arc<Mutex<String>>,
}

impl Pty {
    pub(crate) fn open() -> Pty {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let program = rustix::fs::open(name, flags, Mode::empty()).unwrap();
        let keyboard = File::from(controller);
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut output, shown) = (keyboard.try_clone().unwrap(), screen.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It ends with an error once nobody has the other side open any more.
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                shown.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Pty { keyboard, program, screen }
    }

    /// Starts a command at the terminal; its results go elsewhere.
    pub(crate) fn start(&self, mut command: Command) -> Child {
        let side = || Stdio::from(self.program.try_clone().unwrap());
        command.stdin(side()).stderr(side()).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// What the terminal has shown so far.
    pub(crate) fn screen(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    /// Waits until a text has been shown so many times.
    pub(crate) async fn shows(&self, text: &str, times: usize) {
        let began = Instant::now();
        while self.screen().matches(text).count() < times {
            assert!(began.elapsed() < Duration::from_mins(1), "`{text}` was not shown: {}", self.screen());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Types a line.
    pub(crate) fn types(&self, line: &str) {
        (&self.keyboard).write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Whether the terminal shows what is typed.
    pub(crate) fn echoes(&self) -> bool {
        tcgetattr(&self.program).unwrap().local_modes.contains(LocalModes::ECHO)
    }
}
