//! A server on loopback that plays one which answers over plain HTTP, for the tests of those who ask it. It refuses to know what it plays: that is the test's.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

/// A server that answers each connection with what `answer` makes of the request; none means silence.
pub fn server(answer: impl Fn(&str) -> Option<String> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut chunk = [0; 1024];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut chunk) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => request.extend_from_slice(&chunk[..count]),
                }
            }
            match answer(&String::from_utf8_lossy(&request)) {
                Some(response) => stream.write_all(response.as_bytes()).unwrap_or(()),
                None => std::mem::forget(stream),
            }
        }
    });
    address
}

pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
