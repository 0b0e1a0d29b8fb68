import Primitives
import Wire

/// F3: what a logged-in client sends.
enum ClientFraming {
    static let words: [ByteString] = [
        ByteString(Message.query("select 1")), ByteString(Message.query("begin")),
        ByteString(Message.query("commit")), ByteString(Message.query("error")),
        ByteString(Message.query("copyin")), ByteString(Message.query("copyout")),
        ByteString(Message.query("deallocate x")), ByteString(Message.query("discard all")),
        ByteString(Message.typed("P", text: "x~select 1~~~")),
        ByteString(Message.typed("P", text: "~begin~~~")),
        ByteString(Message.typed("P", text: "y~error~~~")), ByteString(Message.typed("B", text: "~x~~~~~~~")),
        ByteString(Message.typed("B", text: "~~~~~~~~")), ByteString(Message.typed("D", text: "Sx~")),
        ByteString(Message.typed("D", text: "P~")), ByteString(Message.typed("E", text: "~~~~~")),
        ByteString(Message.typed("C", text: "Sx~")), ByteString(Message.typed("C", text: "P~")),
        ByteString(Message.sync), ByteString(Message.typed("H")), ByteString(Message.typed("d", text: "row")),
        ByteString(Message.typed("c")), ByteString(Message.typed("f", text: "no~")),
        ByteString(Message.typed("X")), ByteString(Message.typed("p", text: "x~")),
        ByteString(Message.typed("F", [0, 0, 0, 1, 0, 0, 0, 0, 0, 0])),
    ]

    static func run(_ bytes: Bytes) -> Verdict {
        var input = Input(bytes)
        let option = input.choice(Rig.snapshots.count)
        let stream = input.rest()
        let digest = seed(of: bytes)
        if let text = readers(stream) { return .finding(text) }
        var first: [String: Bytes]?
        for delivery in [Delivery.whole, .byteByByte, .random] {
            let rig = talk(stream, option, delivery.pieces(stream.count, seed: digest), answersAtOnce: false)
            let told = rig.transcript
            // Sessions without tracked statements pass everything on.
            if delivery == .whole, option == 0 { forwards(rig, stream) }
            rig.finish()
            if let finding = rig.finding { return .finding("\(delivery): \(finding)") }
            if let first, let text = difference(first, told) {
                return .finding("split: \(delivery): \(text)")
            }
            first = first ?? told
        }
        let rig = talk(
            stream, option, Delivery.random.pieces(stream.count, seed: ~digest), answersAtOnce: true)
        rig.finish()
        return rig.finding.map { .finding("answered at once: \($0)") } ?? .fine
    }

    private static func talk(_ stream: Bytes, _ option: Int, _ pieces: [Int], answersAtOnce: Bool) -> Rig {
        let rig = Rig(Rig.snapshots[option])
        let client = rig.connect("u", "db")
        rig.settle()
        if answersAtOnce {
            var place = 0
            for piece in pieces {
                rig.feed(client, Bytes(stream[place..<place + piece]))
                place += piece
                rig.settle()
            }
        } else {
            rig.feed(client, stream, in: pieces)
            rig.checkWaiting()
        }
        rig.settle()
        rig.checkClient(client)
        if rig.written > 256 * 1024 + 64 * stream.count { rig.found("bounds: \(rig.written) bytes written") }
        return rig
    }

    /// The bytes that went to the server are the client's messages, unchanged and in order.
    private static func forwards(_ rig: Rig, _ stream: Bytes) {
        guard rig.finding == nil, rig.links.count > 1 else { return }
        let sent = rig.links[1].sent
        let length = sent.prefix(4).reduce(0) { $0 << 8 | Int($1) }
        let forwarded = Cutter(Bytes(sent.dropFirst(length)))
        var wanted: [Cutter.Piece] = []
        for piece in Cutter(stream, limitBytes: Int(Int32.max)).pieces {
            guard let kind = ClientMessageKind(rawValue: piece.kind), kind != .password, kind != .terminate
            else { break }
            wanted.append(piece)
        }
        var next = 0
        for piece in wanted where next < forwarded.pieces.count && piece == forwarded.pieces[next] {
            next += 1
        }
        // What the pooler itself says when the client has left.
        let ours = [Message.query("DISCARD ALL"), Message.typed("X")]
        let extra = forwarded.pieces.dropFirst(next).filter { !ours.contains($0.bytes) }
        if let odd = extra.first {
            rig.found(
                "forwarding: the server was sent \(odd.bytes.shown), which the client did not say there")
        }
        if rig.links[0].isAlive {
            let passed = forwarded.pieces.count { "QPBDECSF".utf8.contains($0.kind) }
            let theirs = wanted.count { "QPBDECSF".utf8.contains($0.kind) }
            if passed < theirs { rig.found("forwarding: \(theirs) messages came, \(passed) went on") }
        }
    }

    /// The readers of single messages, on every piece and on garbage.
    private static func readers(_ stream: Bytes) -> String? {
        for piece in Cutter(stream).pieces.prefix(64) {
            let body = piece.body
            let texts = body.split(separator: 0, omittingEmptySubsequences: false).map { Bytes($0) }
            let text = ByteString(body).withView { view -> String? in
                if let (name, definition) = ClientMessage.parse(view) {
                    if texts.count < 3 || ByteString(name).bytes != texts[0] { return "Parse: wrong name" }
                    if definition.count + name.count + 1 != body.count { return "Parse: wrong length" }
                } else if texts.count > 2, isParse(body, texts) {
                    return "Parse: \(body.shown) is one"
                }
                if let (portal, statement, length) = ClientMessage.bind(view) {
                    if ByteString(portal).bytes != texts[0] || ByteString(statement).bytes != texts[1]
                        || length != texts[0].count + texts[1].count + 2
                    {
                        return "Bind: wrong names"
                    }
                } else if texts.count > 2 {
                    return "Bind: \(body.shown) is one"
                }
                if let (kind, name) = ClientMessage.target(view) {
                    if [kind] + ByteString(name).bytes + [0] != body { return "Describe: wrong name" }
                }
                return nil
            }
            if let text { return text }
        }
        return nil
    }

    private static func isParse(_ body: Bytes, _ texts: [Bytes]) -> Bool {
        let rest = Bytes(body.dropFirst(texts[0].count + texts[1].count + 2))
        guard rest.count >= 2 else { return false }
        return rest.count == 2 + 4 * (Int(rest[0]) << 8 | Int(rest[1]))
    }
}

/// F4: what a server says, when it is hostile or broken, in every situation a client can be in.
enum ServerFraming {
    static let words: [ByteString] = [
        ByteString(Message.ready), ByteString(Message.readyInTransaction), ByteString(Message.readyFailed),
        ByteString(Message.columns), ByteString(Message.dataRow([0x31])),
        ByteString(Message.complete("SELECT 1")), ByteString(Message.complete("DISCARD ALL")),
        ByteString(Message.typed("1")), ByteString(Message.typed("2")), ByteString(Message.typed("3")),
        ByteString(Message.typed("n")), ByteString(Message.typed("s")),
        ByteString(Message.typed("t", [0, 0])),
        ByteString(Message.typed("I")), ByteString(Message.typed("G", [0, 0, 0])),
        ByteString(Message.typed("H", [0, 0, 0])), ByteString(Message.typed("W", [0, 0, 0])),
        ByteString(Message.typed("d", text: "row")), ByteString(Message.typed("c")),
        ByteString(Message.typed("V", [0xFF, 0xFF, 0xFF, 0xFF])),
        ByteString(Message.failure("42601", "no")), ByteString(Message.failure("57P01", "bye")),
        ByteString(Message.typed("N", text: "SNOTICE~C00000~Mhm~~")),
        ByteString(Message.typed("A", text: "~~~~x~y~")), ByteString(Message.parameter("TimeZone", [0x31])),
        ByteString(Message.parameter("application_name", Array("x".utf8))),
        ByteString(Message.typed("K", [0, 0, 0, 1, 0, 0, 0, 1])),
        ByteString(Message.typed("R", [0, 0, 0, 0])),
        ByteString(Message.typed("R", [0, 0, 0, 3])),
        ByteString(Message.typed("R", [0, 0, 0, 5, 1, 2, 3, 4])),
        ByteString(Message.typed("R", text: "~~~\u{A}SCRAM-SHA-256~~")),
        ByteString(Message.typed("Z", [0x58])),
        ByteString([0x44, 0x7F, 0xFF, 0xFF, 0xFF]), ByteString([0x45, 0, 0x10, 0, 1]),
    ]

    private static let requests: [[Bytes]] = [
        [],
        [Message.query("select 1")],
        [Message.query("begin"), Message.query("select 1")],
        [
            Message.typed("P", text: "x~select 1~~~") + Message.typed("B", text: "~x~~~~~~~")
                + Message.typed("D", text: "P~") + Message.typed("E", text: "~~~~~") + Message.sync
        ],
        [Message.query("select 1") + Message.query("select 2")],
        [Message.query("copyin") + Message.typed("d", text: "row") + Message.typed("c")],
        [Message.typed("F", [0, 0, 0, 1, 0, 0, 0, 0, 0, 0])],
        [Message.typed("P", text: "~select 1~~~") + Message.typed("H")],
    ]

    /// The first byte: pool mode and tracking; the second: what the client has asked, whether another one
    /// waits, and whether the bytes are the login's.
    static func run(_ bytes: Bytes) -> Verdict {
        var input = Input(bytes)
        let option = input.choice(Rig.snapshots.count)
        let scene = input.byte()
        let stream = input.rest()
        let digest = seed(of: bytes)
        let hasRival = scene & 8 != 0
        var first: [String: Bytes]?
        for delivery in [Delivery.whole, .byteByByte, .random] {
            let rig = Rig(Rig.snapshots[option])
            let told = play(rig, scene, stream, delivery.pieces(stream.count, seed: digest))
            rig.finish()
            if let finding = rig.finding { return .finding("\(delivery): \(finding)") }
            // When somebody else may have got the server, what comes next depends on when it comes.
            if hasRival { continue }
            let heard = told.filter { $0.key.hasPrefix("client") }.mapValues(withoutRemarks)
            if let first, let text = difference(first, heard) {
                return .finding("split: \(delivery): \(text)")
            }
            first = first ?? heard
        }
        return .fine
    }

    /// Behind the last ReadyForQuery a remark reaches a client only if it comes before the server has left.
    private static func withoutRemarks(_ sent: Bytes) -> Bytes {
        let cut = Cutter(sent)
        return cut.pieces.filter { ![0x4E, 0x53, 0x41].contains($0.kind) }.flatMap(\.bytes) + cut.tail
    }

    private static func play(_ rig: Rig, _ scene: UInt8, _ stream: Bytes, _ pieces: [Int]) -> [String: Bytes]
    {
        let client = rig.connect("u", "db")
        let isLogin = scene & 16 != 0
        guard rig.links.count > 1 else { return [:] }
        let server = 1
        if isLogin {
            rig.open(server)
        } else {
            rig.settle()
            for (index, request) in requests[Int(scene & 7)].enumerated() {
                if index > 0 { rig.settle() }
                rig.feed(client, request)
            }
        }
        var rival = -1
        if scene & 8 != 0 {
            rival = rig.connect("u", "db", [("application_name", "rival")])
            rig.feed(rival, Message.query("select 3"))
        }
        rig.links[server].isHonest = false
        rig.feed(server, stream, in: pieces)
        rig.checkWaiting()
        if rig.written > 256 * 1024 + 8 * stream.count { rig.found("bounds: \(rig.written) bytes written") }
        let told = rig.transcript
        rig.end(server)
        rig.settle()
        rig.checkClient(client)
        if rival >= 0 { rig.checkClient(rival) }
        return told
    }
}
