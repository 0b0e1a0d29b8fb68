import Config
import Engine
import Primitives
import Session

/// What a broken or hostile server does (the H cases of the catalogue). Its bytes carry tokens of nobody's,
/// so that whoever gets them is known.
enum Hostility: CaseIterable {
    // Behind a whole answer, in one piece with its ReadyForQuery: whoever asked has its answer and must live
    // on.
    case extraReady, extraResult, extraError, extraNotice, extraNotification, half, unknownType,
        authentication, key
    case shortLength, negativeLength
    // Within an answer: whoever asked may be harmed, nobody else.
    case badStatus, longReady, bareReady, diesInRow, copyBoth, copyIn, silence

    static let afterAnswer: [Hostility] = [
        .extraReady, .extraResult, .extraError, .extraNotice, .extraNotification, .half, .unknownType,
        .authentication, .key, .shortLength, .negativeLength,
    ]

    var isAfterAnswer: Bool { Hostility.afterAnswer.contains(self) }
    /// Unasked, but what PostgreSQL may do as well: the server stays in use.
    var isHarmless: Bool { self == .extraNotice || self == .extraNotification }

    /// The token of what nobody asked for.
    static let nobody = 999
    static let anybody = -1

    /// The answer as this server sends it. It ends with ReadyForQuery.
    func spoil(_ answer: Bytes, _ token: String) -> (bytes: Bytes, ends: Bool) {
        var out = answer
        // A lie about the transaction would be believed where one more ReadyForQuery is in order.
        let status = answer.last ?? 0x49
        switch self {
        case .extraReady: out.message("Z") { $0.append(status) }
        case .extraResult:
            out.message("D") {
                $0.append(uint16: 1)
                $0.append(uint32: UInt32(token.utf8.count))
                $0.append(contentsOf: token.utf8)
            }
            out.message("C") { $0.append(cString: "SELECT 1") }
            out.message("Z") { $0.append(status) }
        case .extraError: Self.report(&out, "E", "ERROR", token)
        case .extraNotice: Self.report(&out, "N", "NOTICE", token)
        case .extraNotification:
            out.message("A") {
                $0.append(uint32: 1)
                $0.append(cString: token)
                $0.append(cString: "")
            }
        case .half: out += Array("D\0\0\0".utf8)
        case .unknownType: out.message("@") { $0.append(cString: token) }
        case .authentication: out.message("R") { $0.append(uint32: 3) }
        case .key: out.message("K") { $0.append(contentsOf: [0, 0, 0, 1, 0, 0, 0, 2]) }
        case .shortLength: out += [0x44, 0, 0, 0, 3]
        case .negativeLength: out += [0x44, 0xFF, 0xFF, 0xFF, 0xFF]
        case .badStatus: out[out.count - 1] = 0x58
        case .longReady:
            out.removeLast(6)
            out.message("Z") { $0.append(contentsOf: [0x49, 0, 0, 0]) }
        case .bareReady: out = Array(answer.suffix(6))
        case .diesInRow:
            out = Array(answer.prefix(max(1, answer.count - 9)))
            return (out, true)
        case .copyBoth: out = Array("W\0\0\0\u{7}\0\0\0".utf8) + answer
        case .copyIn: out = Array("G\0\0\0\u{7}\0\0\0".utf8) + answer
        case .silence: out = [0x44, 0x7F, 0xFF, 0xFF, 0xF0, 0, 1]
        }
        return (out, false)
    }

    private static func report(_ out: inout Bytes, _ kind: Character, _ severity: String, _ token: String) {
        out.message(kind) {
            for (letter, value) in [("S", severity), ("V", severity), ("C", "XX000"), ("M", token)] {
                $0.append(contentsOf: letter.utf8)
                $0.append(cString: value)
            }
            $0.append(0)
        }
    }
}

extension World {
    /// Sends a server's answer, spoilt if this is the time for it. `true`: it has been sent.
    func spoils(_ server: SimulatedServer, _ cable: Cable) -> Bool {
        guard !isCalm, knobs.hostile > 0, server.random.below(100) < knobs.hostile else { return false }
        let bytes = server.backend.output
        guard bytes.count >= 6, bytes[bytes.count - 6] == 0x5A, server.backend.input.isEmpty,
            server.backend.running.isEmpty, cable.outgoing.isEmpty, cable.isOpen
        else { return false }
        let kind = Hostility.allCases[server.random.below(Hostility.allCases.count)]
        // Whoever asked is not told what this answer changes: that would be believed for good.
        if kind == .bareReady, bytes.hasParameterStatus { return false }
        let victim = server.client
        let client = clients.first { client in
            victim.map { client.cable?.board === $0.board && client.cable?.link == .client($0.id) } ?? false
        }
        evilDeeds += 1
        let token = "~\(Hostility.nobody).\(evilDeeds)~"
        evilVictims.append(client?.number ?? Hostility.nobody)
        let keeps = victim.map { $0.board.engine.clients[$0.id].unnamed.isPinned } ?? false
        let isOver =
            isAtRest(client) && server.backend.status == 0x49 && scenario.mode != .session && !keeps
        say("server \(server.number) is hostile: \(kind), to client \(client?.number ?? -1), over \(isOver)")
        note("hostile", UInt64(server.number), 0)
        if !kind.isHarmless, !(kind.isAfterAnswer && isOver), let client {
            client.isHarmed = true
            heap.add(.leave(client), at: clock + 300_000)
        }
        let (spoilt, ends) = kind.spoil(bytes, token)
        server.backend.output.removeAll(keepingCapacity: true)
        write(spoilt, on: cable, inOnePiece: true)
        if kind == .silence || ends { server.phase = .ended }
        if ends { endFar(cable, isReset: false) }
        return true
    }

    /// The client has said nothing that this answer does not answer.
    private func isAtRest(_ client: SimulatedClient?) -> Bool {
        guard let client, let cable = client.cable else { return true }
        return client.outbox.isEmpty && cable.inFlight.isEmpty && cable.arrived.isEmpty
            && client.phase == .awaiting
    }

    /// What a hostile server said unasked to this very client.
    func isEvil(_ kind: UInt8, _ body: Bytes, for client: SimulatedClient) -> Bool {
        guard evilDeeds > 0, let place = body.firstRange(of: "~\(Hostility.nobody).") else { return false }
        let number = Array(body[place...].prefix { $0 >= 0x30 && $0 <= 0x39 }).decimal ?? 0
        guard number > 0, number <= evilVictims.count else { return false }
        return evilVictims[number - 1] == client.number || evilVictims[number - 1] == Hostility.anybody
    }
}

extension Bytes {
    fileprivate var hasParameterStatus: Bool {
        var offset = 0
        while offset + 5 <= count {
            if self[offset] == 0x53 { return true }
            offset += Int(uint32(at: offset + 1)) + 1
        }
        return false
    }

    /// The offset behind the first place where this text stands.
    fileprivate func firstRange(of text: String) -> Int? {
        let wanted = Array(text.utf8)
        guard count >= wanted.count else { return nil }
        for start in 0...(count - wanted.count) where self[start] == wanted[0] {
            if self[start..<(start + wanted.count)].elementsEqual(wanted) { return start + wanted.count }
        }
        return nil
    }
}
