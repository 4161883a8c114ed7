use super::*;
use proptest::prelude::*;

const PREFACE: usize = 24 + 27 + 13;

fn client() -> Client {
    Client::new("c:1".into())
}

fn report(body: &[u8]) -> Request<'_> {
    Request { path: "/v1/batches", body: Some(("a/b", body.to_vec())), once: &[] }
}

/// A client whose first request is under way, and everything before it sent.
fn asked(body: &[u8]) -> Client {
    let mut client = client();
    client.request(report(body)).unwrap();
    let count = client.to_send().len();
    client.sent(count);
    client
}

fn framed(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, kind, flags, stream, payload);
    out
}

fn answer(stream: u32) -> Vec<u8> {
    [framed(HEADERS, END_HEADERS, stream, &[0x88]), framed(DATA, END_STREAM, stream, b"ok")].concat()
}

/// Frames as (type, flags, stream, payload).
fn frames(mut bytes: &[u8]) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        found.push((header[3], header[4], u32::from_be_bytes(header[5..].try_into().unwrap()), rest[..length].to_vec()));
        bytes = &rest[length..];
    }
    found
}

#[test]
fn a_connection_begins_with_its_first_request_in_one_piece() {
    let mut client = client();
    client.request(report(b"xyz")).unwrap();
    let golden = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &[0, 0, 18, 4, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 4, 0, 0x10, 0, 0],
        &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0x10, 0, 0],
        &[0, 0, 25, 1, 4, 0, 0, 0, 1, 0x83, 0x87, 0x41, 3, b'c', b':', b'1', 0x44, 11],
        b"/v1/batches",
        &[0x5f, 3, b'a', b'/', b'b'],
        &[0, 0, 3, 0, 1, 0, 0, 0, 1, b'x', b'y', b'z'],
    ]
    .concat();
    assert_eq!(client.to_send(), golden);
}

#[test]
fn the_second_request_costs_five_bytes_of_head_and_its_answer_is_told_apart() {
    let mut client = asked(b"xyz");
    client.receive(&answer(1)).unwrap();
    assert_eq!(client.take_response().unwrap().body, b"ok");
    client.request(report(b"uvw")).unwrap();
    assert_eq!(client.to_send(), [0, 0, 5, 1, 4, 0, 0, 0, 3, 0x83, 0x87, 0xc0, 0xbf, 0xbe, 0, 0, 3, 0, 1, 0, 0, 0, 3, b'u', b'v', b'w']);
    assert!(client.take_response().is_none());
    assert_eq!(client.receive(&answer(1)), Err(Fault::Protocol("a frame for no request")));
}

#[test]
fn an_answer_is_the_same_in_any_pieces_padded_continued_and_with_trailers() {
    let whole = [
        framed(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1]),
        framed(HEADERS, END_HEADERS, 1, &[0x08, 3, b'1', b'0', b'3']),
        framed(HEADERS, PADDED | PRIORITY, 1, &[2, 0, 0, 0, 0, 9, 0x48, 3, b'4', 0, 0]),
        framed(CONTINUATION, 0, 1, b"29"),
        framed(CONTINUATION, END_HEADERS, 1, &[0x0f, 0x26, 2, b'3', b'0']),
        framed(99, 0xff, 7, b"a frame of tomorrow"),
        framed(DATA, PADDED, 1, &[3, b'b', b'u', 0, 0, 0]),
        framed(PING, 0, 0, b"12345678"),
        framed(DATA, 0, 1, b"sy"),
        framed(HEADERS, END_HEADERS | END_STREAM, 1, &[0x00, 1, b'x', 1, b'y']),
    ]
    .concat();
    for step in 1..whole.len() {
        let mut client = asked(b"xyz");
        for piece in whole.chunks(step) {
            client.receive(piece).unwrap();
        }
        let response = client.take_response().unwrap();
        assert_eq!((response.status, &response.body[..]), (Status::TOO_MANY_REQUESTS, &b"busy"[..]));
        assert_eq!(response.retry_after, Some(Duration::from_secs(30)));
        assert_eq!(client.to_send(), [framed(SETTINGS, ACK, 0, &[]), framed(PING, ACK, 0, b"12345678")].concat());
        assert!(client.is_open());
    }
}

#[test]
fn a_long_body_waits_for_the_windows() {
    let body = vec![7; 200_000];
    let mut client = client();
    client.request(report(&body)).unwrap();
    let sent = frames(&client.to_send()[PREFACE..]);
    let lengths: Vec<usize> = sent[1..].iter().map(|f| f.3.len()).collect();
    assert_eq!(lengths, [16_384, 16_384, 16_384, 16_383], "65,535 bytes and no more");
    assert!(String::from_utf8_lossy(&sent[0].3).contains("200000"), "announced by its length");
    let drain = |client: &mut Client| {
        let data = frames(client.to_send()).into_iter().filter(|f| f.0 == DATA).collect::<Vec<_>>();
        client.sent(usize::MAX);
        (data.iter().map(|f| f.3.len()).sum::<usize>(), data.last().is_some_and(|f| f.1 & END_STREAM != 0))
    };
    client.sent(usize::MAX);
    client.receive(&framed(WINDOW_UPDATE, 0, 0, &1_000_000u32.to_be_bytes())).unwrap();
    assert_eq!(drain(&mut client), (0, false), "the stream's own window is still shut");
    client.receive(&framed(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 99])).unwrap();
    assert_eq!(drain(&mut client), (100, false), "a larger first window counts for the stream under way");
    client.receive(&framed(WINDOW_UPDATE, 0, 1, &1_000_000u32.to_be_bytes())).unwrap();
    assert_eq!(drain(&mut client), (200_000 - 65_635, true));
    client.receive(&answer(1)).unwrap();
    assert_eq!(client.take_response().unwrap().status, Status::OK);
}

#[test]
fn an_answer_before_the_request_is_out_ends_the_connection() {
    let mut client = client();
    client.request(report(&[7; 100_000])).unwrap();
    client.receive(&framed(HEADERS, END_HEADERS | END_STREAM, 1, &[0x08, 3, b'4', b'1', b'3'])).unwrap();
    assert_eq!(client.take_response().unwrap().status, Status(413));
    assert!(!client.is_open());
}

#[test]
fn a_goodbye_lets_the_answer_under_way_come() {
    let mut client = asked(b"xyz");
    client.receive(&framed(GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0])).unwrap();
    client.receive(&answer(1)).unwrap();
    assert_eq!(client.take_response().unwrap().body, b"ok");
    assert!(!client.is_open());
    assert_eq!(client.request(report(b"x")), Err(Fault::UsedUp));
    let mut lost = asked(b"xyz");
    assert_eq!(lost.receive(&framed(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11])), Err(Fault::Goodbye(11)));
}

#[test]
fn windows_are_given_back_before_they_run_dry() {
    let mut client = asked(b"xyz");
    client.receive(&framed(HEADERS, END_HEADERS, 1, &[0x88])).unwrap();
    let piece = framed(DATA, 0, 1, &[0; FRAME_BYTES]);
    for _ in 0..ANSWER_BYTES / FRAME_BYTES {
        client.receive(&piece).unwrap();
    }
    let given: Vec<_> = frames(client.to_send()).into_iter().map(|f| (f.0, f.2, f.3)).collect();
    assert_eq!(given, [(WINDOW_UPDATE, 0, vec![0, 8, 0, 0]), (WINDOW_UPDATE, 0, vec![0, 8, 0, 0])]);
    assert_eq!(client.receive(&piece), Err(Fault::TooLong));
}

#[test]
fn the_numbers_of_streams_run_out() {
    let mut client = client();
    client.next_stream = MOST;
    client.request(report(b"x")).unwrap();
    client.receive(&answer(MOST)).unwrap();
    assert!(client.take_response().is_some() && !client.is_open());
}

#[test]
fn what_breaks_the_protocol_ends_the_connection() {
    let head = framed(HEADERS, END_HEADERS, 1, &[0x88]);
    let broken: &[Vec<u8>] = &[
        framed(DATA, 0, 1, b"a body without a head"),
        framed(DATA, 0, 3, b"another stream"),
        framed(HEADERS, END_HEADERS, 1, &[0xbe]),
        framed(HEADERS, END_HEADERS, 1, &[]),
        framed(HEADERS, END_HEADERS | END_STREAM, 1, &[0x08, 3, b'1', b'0', b'0']),
        framed(HEADERS, END_HEADERS | PADDED, 1, &[9, 0x88]),
        framed(HEADERS, END_HEADERS | PRIORITY, 1, &[0x88]),
        [framed(HEADERS, 0, 1, &[0x88]), framed(PING, 0, 0, b"12345678")].concat(),
        [framed(HEADERS, 0, 1, &[0x88]), framed(CONTINUATION, 0, 1, &[0; FRAME_BYTES])].concat(),
        [head.clone(), head.clone()].concat(),
        [head, framed(DATA, PADDED, 1, &[4, 1, 2, 3])].concat(),
        framed(CONTINUATION, END_HEADERS, 1, &[0x88]),
        framed(RST_STREAM, 0, 1, &[0, 0, 8]),
        framed(SETTINGS, 0, 0, &[0, 1, 0]),
        framed(SETTINGS, 0, 1, &[]),
        framed(SETTINGS, ACK, 0, &[0; 6]),
        framed(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]),
        framed(SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1]),
        framed(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82]),
        framed(PING, 0, 0, b"1234"),
        framed(WINDOW_UPDATE, 0, 0, &[0; 4]),
        framed(WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0xff, 0xff]),
        framed(GOAWAY, 0, 0, &[0; 3]),
        vec![0, 0x40, 1, 0, 0, 0, 0, 0, 1],
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
    ];
    for bytes in broken {
        let fault = asked(b"xyz").receive(bytes).unwrap_err();
        assert!(matches!(fault, Fault::Protocol(_)), "{bytes:?}: {fault}");
    }
    assert_eq!(asked(b"xyz").receive(&framed(RST_STREAM, 0, 1, &[0, 0, 0, 7])), Err(Fault::Reset(7)));
    // A stream that is over may be reset, and its window opened, late.
    let mut done = asked(b"xyz");
    done.receive(&answer(1)).unwrap();
    done.receive(&[framed(RST_STREAM, 0, 1, &[0; 4]), framed(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])].concat()).unwrap();
}

#[test]
fn questions_without_end_are_not_answered_without_end() {
    let mut client = client();
    let ping = framed(PING, 0, 0, b"12345678");
    let answered = (0..10_000).take_while(|_| client.receive(&ping).is_ok()).count();
    assert!(client.to_send().len() < 64 * 1024, "{answered} answered");
}

proptest! {
    #[test]
    fn any_bytes_are_taken_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), step in 1usize..50) {
        let mut client = asked(b"xyz");
        for piece in bytes.chunks(step) {
            if client.receive(piece).is_err() { break; }
        }
        let _ = client.take_response();
    }

    #[test]
    fn any_frames_are_taken_without_panic(list in proptest::collection::vec((0u8..11, any::<u8>(), 0u32..4, proptest::collection::vec(any::<u8>(), 0..20)), 0..20)) {
        let mut client = asked(&[1; 70_000]);
        for (kind, flags, stream, payload) in list {
            if client.receive(&framed(kind, flags, stream, &payload)).is_err() { break; }
            prop_assert!(client.window >= 0 || client.initial_window < WINDOW);
        }
        let _ = client.take_response();
    }
}
