import Primitives

/// O1 and O2: every message that reaches a client is its own, and is what an ideal server would have said,
/// save the permitted differences: those of `Permitted`, and what came of a cancel request.
struct Transcript {
    let permitted: Permitted
    let client: SimulatedClient

    /// What is wrong with this message, or `nil`.
    func check(_ kind: UInt8, _ body: Bytes) -> String? {
        if let refusal = client.refusal { return "O5 \(shown(kind, body)) behind FATAL \(refusal)" }
        if let owner = Ownership.owner(of: kind, body), owner != client.number {
            return "O1 client \(client.number) got what belongs to client \(owner): \(shown(kind, body))"
        }
        if kind == 0x41 { return checkNotification(body) }
        if kind == 0x4E, permitted.allows(notice: Report(body).text) { return nil }
        if kind == 0x45 {
            let report = Report(body)
            if report.severity == "FATAL" { return refused(report) }
            if report.state == "57014", report.text == "canceling statement due to user request" {
                return cancelledInLine(report)
            }
        }
        return compare(kind, body)
    }

    /// O6: whoever hears of a channel has asked for it, on this connection.
    private func checkNotification(_ body: Bytes) -> String? {
        let channel = body.cString(at: 4).bytes
        if client.ideal.formerChannels.contains(channel) { return nil }
        return "O6 client \(client.number) heard of \(channel.text), which it never asked for"
    }

    private func refused(_ report: Report) -> String? {
        client.refusal = report.text
        if permitted.allows(fatal: report, to: client) { return nil }
        return "O2 client \(client.number) was refused: \(report.state) \(report.text)"
    }

    /// The pooler's own answer to a cancel of a request that stood in line.
    private func cancelledInLine(_ report: Report) -> String? {
        guard client.cancelsAsked > 0 else { return "O4 client \(client.number) was cancelled, nobody asked" }
        client.ideal.takeSilentMessages()
        guard client.met == client.ideal.output.count, client.ideal.need == .message else {
            return "O5 cancel in line in the middle of an answer to client \(client.number)"
        }
        client.ideal.output.removeAll(keepingCapacity: true)
        client.ideal.refuseMessage()
        // The error itself: what follows it is compared as usual.
        client.met = Self.messageLength(client.ideal.output, 0)
        return nil
    }

    private func compare(_ kind: UInt8, _ body: Bytes) -> String? {
        let isCancel = kind == 0x45 && Report(body).isCancel
        if client.met == client.ideal.output.count {
            client.ideal.output.removeAll(keepingCapacity: true)
            client.met = 0
        }
        var steps = 0
        while client.met == client.ideal.output.count {
            steps += 1
            switch client.ideal.need {
            case .input, .ended:
                return "O5 client \(client.number) got an answer it is not owed: \(shown(kind, body))"
            case .message:
                client.ideal.takeMessage()
            case .statement:
                client.ideal.execute(cancelled: isCancel)
            }
        }
        let length = Self.messageLength(client.ideal.output, client.met)
        let start = client.met
        client.met += length
        client.answersMet += 1
        let isEqual =
            client.ideal.output[start] == kind && length == body.count + 5
            && client.ideal.output.matches(body, at: start + 5)
        if isEqual {
            return isCancel && client.cancelsAsked == 0
                ? "O4 client \(client.number) was cancelled, nobody asked" : nil
        }
        let wanted = client.ideal.output[start..<(start + length)]
        if kind == 0x45, wanted.first == 0x45 {
            let report = Report(body)
            let ideal = Report(Array(wanted.dropFirst(5)))
            if report.state == ideal.state, permitted.allows(report.text, insteadOf: ideal.text) {
                return nil
            }
        }
        return "O2 client \(client.number) got \(shown(kind, body)) instead of "
            + shown(wanted.first ?? 0, Array(wanted.dropFirst(5)))
    }

    static func messageLength(_ bytes: Bytes, _ offset: Int) -> Int { Int(bytes.uint32(at: offset + 1)) + 1 }

    private func shown(_ kind: UInt8, _ body: Bytes) -> String {
        "\(Character(UnicodeScalar(kind)))'\(body.shown)'"
    }
}

/// The fields of an ErrorResponse or NoticeResponse that are compared.
struct Report {
    var severity = ""
    var state = ""
    var text = ""

    init(_ body: Bytes) {
        var offset = 0
        while offset < body.count, body[offset] != 0 {
            let letter = body[offset]
            let value = body.cString(at: offset + 1)
            offset = value.next
            switch letter {
            case 0x53: severity = value.bytes.text
            case 0x43: state = value.bytes.text
            case 0x4D: text = value.bytes.text
            default: break
            }
        }
    }

    /// A statement of the server's was cancelled: its token follows.
    var isCancel: Bool { state == "57014" && text.hasPrefix("canceling statement due to user request ") }
}

/// O1: whose a message of the server is.
enum Ownership {
    /// The number of the client in the first token of the message; `nil` when it has none. Only values are
    /// looked at: the bytes of a length may read like a token.
    static func owner(of kind: UInt8, _ body: Bytes) -> Int? {
        switch kind {
        case 0x44: ownerOfRow(body)
        case 0x56: owner(in: body.dropFirst(4))
        case 0x45, 0x4E, 0x64: owner(in: body[...])
        default: nil
        }
    }

    private static func ownerOfRow(_ body: Bytes) -> Int? {
        var offset = 2
        for _ in 0..<body.uint16(at: 0) {
            let length = Int(Int32(bitPattern: body.uint32(at: offset)))
            offset += 4
            guard length > 0, offset + length <= body.count else { continue }
            if let owner = owner(in: body[offset..<(offset + length)]) { return owner }
            offset += length
        }
        return nil
    }

    static func owner(in bytes: Bytes) -> Int? { owner(in: bytes[...]) }

    private static func owner(in bytes: ArraySlice<UInt8>) -> Int? {
        guard var place = bytes.firstIndex(of: 0x7E) else { return nil }
        var number = 0
        place += 1
        let start = place
        while place < bytes.endIndex, bytes[place] >= 0x30, bytes[place] <= 0x39 {
            number = number * 10 + Int(bytes[place] - 0x30)
            place += 1
        }
        return place > start ? number : nil
    }
}

extension Backend {
    /// The message at the front fails before anything is done for it.
    mutating func refuseMessage() {
        guard let (kind, _) = input.takeMessage() else { return }
        isSimple = kind == 0x51 || kind == 0x46 || kind == 0x53
        fail("57014", "canceling statement due to user request")
    }
}
