//! The encoder of hyper and tonic, which is to be had as a whole client only: it sends the story of requests.

use http::{Method, Request, Uri};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const HEADERS: u8 = 1;
const PREFACE: usize = 24;

fn text(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap()).collect()
}

fn request(fields: &[(Vec<u8>, Vec<u8>)]) -> Request<()> {
    let mut request = Request::new(());
    let mut uri = Uri::builder();
    for (name, value) in fields {
        match &name[..] {
            b":method" => *request.method_mut() = Method::from_bytes(value).unwrap(),
            b":scheme" => uri = uri.scheme(&value[..]),
            b":authority" => uri = uri.authority(&value[..]),
            b":path" => uri = uri.path_and_query(&value[..]),
            name => {
                let name = http::HeaderName::from_bytes(name).unwrap();
                request.headers_mut().append(name, http::HeaderValue::from_bytes(value).unwrap());
            }
        }
    }
    *request.uri_mut() = uri.build().unwrap();
    request
}

/// The payload of the next HEADERS frame, which the client sends without padding or priority.
async fn block(server: &mut DuplexStream) -> Vec<u8> {
    loop {
        let mut head = [0; 9];
        server.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        server.read_exact(&mut payload).await.unwrap();
        if head[3] == HEADERS {
            return payload;
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let stories = std::fs::read_to_string(std::env::args().nth(1).unwrap()).unwrap();
    let (client, mut server) = tokio::io::duplex(1 << 20);
    server.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(client).await.unwrap();
    tokio::spawn(connection);
    server.read_exact(&mut [0; PREFACE]).await.unwrap();
    let mut fields = Vec::new();
    let mut answers = Vec::new();
    println!("S requests");
    for line in stories.lines().skip(1).take_while(|line| !line.starts_with('S')) {
        let word: Vec<&str> = line.split(' ').collect();
        if word[0] == "F" {
            fields.push((text(word[1]), text(word.get(2).unwrap_or(&""))));
            continue;
        }
        sender = sender.ready().await.unwrap();
        answers.push(sender.send_request(request(&fields), true).unwrap());
        let block = block(&mut server).await;
        println!("{}", block.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        fields.clear();
    }
}
