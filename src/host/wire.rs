//! Connections that need no runtime: whoever asks over one looks again and again whether something has come, and sleeps in between. Probe children ask
//! so: a child that was forked inside the daemon's runtime can neither begin another (what it knows of signals is closed there) nor use that one. It refuses
//! to wait in a call.

use std::cell::RefCell;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::rt::{Executor, Read, ReadBufCursor, Write};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use super::clock;

/// From one look to the next.
const PAUSE: Duration = Duration::from_millis(1);
/// Read at once.
const CHUNK: usize = 8 << 10;

/// What `asking` comes to within `budget`, on this thread and without a runtime.
pub fn ask_within<T>(budget: Duration, asking: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let budget_ms = u64::try_from(budget.as_millis()).unwrap_or(u64::MAX);
    let until = clock::monotonic().plus_ms(budget_ms);
    let mut asking = pin!(asking);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(answer) = asking.as_mut().poll(&mut context) {
            return answer;
        }
        if clock::monotonic() >= until {
            return Err(format!("it did not answer within {} s", budget.as_secs()));
        }
        std::thread::sleep(PAUSE);
    }
}

/// A stream that does not block, as hyper wants it.
#[derive(Debug)]
pub struct Wire<S>(S);

impl Wire<UnixStream> {
    /// A connection to a socket of this machine; one whose owner takes no more connections at present is an error.
    pub fn unix(path: &Path) -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
        Ok(Self(UnixStream::from(fd)))
    }
}

/// Not yet is no error, and whoever polls is to do so again.
fn again<T>(context: &Context<'_>, outcome: io::Result<T>) -> Poll<io::Result<T>> {
    match outcome {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
        done => Poll::Ready(done),
    }
}

impl<S: io::Read + Unpin> Read for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut chunk = [0; CHUNK];
        let room = buffer.remaining().min(CHUNK);
        let outcome = self.get_mut().0.read(&mut chunk[..room]);
        again(context, outcome.map(|count| buffer.put_slice(&chunk[..count])))
    }
}

impl<S: io::Write + Unpin> Write for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        again(context, self.get_mut().0.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// It ends with its descriptor.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a connection has to do besides; whoever polls the connection polls these.
#[derive(Clone, Default)]
pub struct Tasks(Rc<RefCell<Vec<Task>>>);

type Task = Pin<Box<dyn Future<Output = ()>>>;

impl<F: Future<Output = ()> + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.0.borrow_mut().push(Box::pin(task));
    }
}

impl Tasks {
    /// All of them, once.
    pub fn poll(&self, context: &mut Context<'_>) {
        // Taken out meanwhile: one may bring another.
        let mut tasks = self.0.take();
        tasks.retain_mut(|task| task.as_mut().poll(context).is_pending());
        self.0.borrow_mut().append(&mut tasks);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn inside_a_runtime_it_asks_as_well() {
        // As a child that was forked there is.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = runtime.block_on(async { ask_within(Duration::from_secs(1), async { Ok(7) }) });
        assert_eq!(answer, Ok(7));
        let never = ask_within(Duration::from_millis(20), std::future::pending::<Result<(), _>>());
        assert_eq!(never, Err("it did not answer within 0 s".to_owned()));
    }

    #[test]
    fn what_is_not_there_yet_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("echo.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut word = [0; 4];
            stream.read_exact(&mut word).unwrap();
            std::thread::sleep(Duration::from_millis(30));
            stream.write_all(&word).unwrap();
        });
        let answer = ask_within(Duration::from_secs(5), async {
            let mut wire = Wire::unix(&path).map_err(|error| error.to_string())?;
            let mut bytes = [0; 16];
            let mut buffer = hyper::rt::ReadBuf::new(&mut bytes);
            let said = |error: io::Error| error.to_string();
            std::future::poll_fn(|context| Pin::new(&mut wire).poll_write(context, b"echo")).await.map_err(said)?;
            std::future::poll_fn(|context| Pin::new(&mut wire).poll_read(context, buffer.unfilled()))
                .await
                .map_err(said)?;
            Ok(buffer.filled().to_vec())
        });
        assert_eq!(answer, Ok(b"echo".to_vec()));
        server.join().unwrap();
        assert_eq!(Wire::unix(&path).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_socket_that_is_gone_is_not_found() {
        let root = tempfile::tempdir().unwrap();
        let error = Wire::unix(&root.path().join("gone.sock")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
