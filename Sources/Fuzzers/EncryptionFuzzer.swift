import Config
import Glibc
import Primitives
import TLS

/// F13: TLS between two ends in memory, with somebody between them who cuts, changes, repeats and adds bytes.
enum EncryptedStreams {
    static let words: [ByteString] = [
        ByteString([0x16, 3, 1, 0, 5]), ByteString([0x16, 3, 3]), ByteString([0x17, 3, 3, 0x40, 1]),
        ByteString([0x17, 3, 3, 0, 0]), ByteString([0x15, 3, 3, 0, 2, 2, 40]),
        ByteString([0x15, 3, 3, 0, 2, 1, 0]),
        ByteString([0x14, 3, 3, 0, 1, 1]), ByteString([0xFF, 0xFF, 0xFF, 0xFF]),
        ByteString([0x80, 0x2E, 1, 3, 1]),
        "\0\0\0\u{8}\u{4}", "GET / HTTP/1.1\r\n\r\n",
    ]

    static func run(_ bytes: Bytes) -> Verdict {
        guard let site = Site.shared else { return .finding("no key and certificate could be made") }
        var input = Input(bytes)
        let way = input.choice(4)
        let pieceBytes = 1 + input.choice(250)
        let meddler = Meddler(&input)
        let rest = input.rest()
        guard let pair = Pair(site) else { return .finding("no stream could be made") }
        defer { pair.free() }
        switch way {
        case 0: return pair.hearNonsense(rest, asServer: true, pieceBytes)
        case 1: return pair.hearNonsense(rest, asServer: false, pieceBytes)
        case 2: return pair.shakeHands(meddler, pieceBytes)
        default: return pair.talk(rest, meddler, pieceBytes)
        }
    }

    /// Makes the contexts once: the key and the certificate are new in every process.
    private final class Site: Sendable {
        static let shared = Site()
        let forClients: TLSContext
        let forServers: TLSContext

        private init?() {
            var folder = Array("/tmp/pglido-fuzz-XXXXXX".utf8CString)
            guard mkdtemp(&folder) != nil else { return nil }
            let place = String(decoding: folder.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let made = system(
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3 "
                    + "-subj /CN=localhost -keyout \(place)/key -out \(place)/crt 2>/dev/null")
            defer { for name in ["/key", "/crt", ""] { _ = remove(place + name) } }
            guard made == 0 else { return nil }
            var ours = GlobalSettings()
            ours.clientTLSSSLMode = .require
            ours.clientTLSKeyFile = ByteString(place + "/key")
            ours.clientTLSCertFile = ByteString(place + "/crt")
            var theirs = GlobalSettings()
            theirs.serverTLSSSLMode = .verifyCA
            theirs.serverTLSCAFile = ByteString(place + "/crt")
            guard let forClients = try? TLSContext.forClients(ours),
                let forServers = try? TLSContext.forServers(theirs)
            else { return nil }
            self.forClients = forClients
            self.forServers = forServers
        }
    }

    /// What happens to a stream of bytes on its way.
    private struct Meddler {
        enum Deed: Int, CaseIterable { case nothing, cut, flip, leaveOut, insert, repeatPart, swap }
        let deed: Deed
        let place: Int
        let extra: Bytes

        init(_ input: inout Input) {
            deed = Deed(rawValue: input.choice(Deed.allCases.count)) ?? .nothing
            place = Int(input.byte()) << 8 | Int(input.byte())
            extra = input.take(input.choice(32))
        }

        func apply(_ bytes: Bytes) -> Bytes {
            guard !bytes.isEmpty, deed != .nothing else { return bytes }
            let place = place % bytes.count
            var changed = bytes
            switch deed {
            case .nothing: break
            case .cut: changed.removeLast(bytes.count - place)
            case .flip: changed[place] ^= max(1, extra.first ?? 1)
            case .leaveOut: changed.removeSubrange(place..<min(bytes.count, place + 1 + extra.count))
            case .insert: changed.insert(contentsOf: extra, at: place)
            case .repeatPart: changed += bytes[place...]
            case .swap: changed = Bytes(bytes[place...] + bytes[..<place])
            }
            return changed
        }
    }

    private final class Pair {
        private let server: TLSStream
        private let client: TLSStream
        private var exchange = TLSExchange()
        /// Most bytes that one call may leave to be sent: a whole flight, and what was given to be encrypted.
        private static let outputLimitBytes = 128 * 1024

        init?(_ site: Site) {
            guard let server = TLSStream(site.forClients, demandsProtocol: false),
                let client = TLSStream(site.forServers, demandsProtocol: false)
            else { return nil }
            self.server = server
            self.client = client
        }

        func free() {
            server.free()
            client.free()
        }

        private func takeOutput() -> Bytes {
            defer { exchange.clearOutput() }
            return Bytes(exchange.output.rawBuffer)
        }

        /// One piece of the handshake; `nil` for the output when the bounds are broken.
        private func shake(_ stream: TLSStream, _ bytes: Bytes) -> (
            TLSStream.Handshake, rest: Bytes, said: Bytes
        ) {
            bytes.withUnsafeBytes {
                var view = ByteView($0)
                let step = stream.handshake(&view, &exchange)
                return (step, Bytes(view.rawBuffer), takeOutput())
            }
        }

        /// Bytes that no handshake is made of: the end of them is a failure, or more is waited for.
        func hearNonsense(_ bytes: Bytes, asServer: Bool, _ pieceBytes: Int) -> Verdict {
            let stream = asServer ? server : client
            var place = 0
            while place < bytes.count {
                let end = min(bytes.count, place + pieceBytes)
                let (step, _, said) = shake(stream, Bytes(bytes[place..<end]))
                if said.count > Self.outputLimitBytes { return .finding("\(said.count) bytes to be sent") }
                switch step {
                case .goesOn: place = end
                case .failed(let failure): return failure.text.isEmpty ? .finding("no reason") : .fine
                case .done: return .finding("a handshake with nobody")
                }
            }
            return .fine
        }

        /// A handshake in which the client's or the server's bytes are meddled with once. What is changed
        /// does not end in an agreement; what is only split does.
        func shakeHands(_ meddler: Meddler?, _ pieceBytes: Int) -> Verdict {
            var toServer: Bytes = []
            var toClient: Bytes = []
            var isChanged = false
            var mustFail = false
            var clientIsDone = false
            var serverIsDone = false
            for round in 0..<6000 {
                if !clientIsDone {
                    let piece = Bytes(toClient.prefix(pieceBytes))
                    toClient.removeFirst(piece.count)
                    let (step, rest, said) = shake(client, piece)
                    toClient = rest + toClient
                    var sent = said
                    if round == 0, let meddler {
                        sent = meddler.apply(said)
                        isChanged = sent != said
                        mustFail = Self.withoutVersion(sent) != Self.withoutVersion(said)
                    }
                    toServer += sent
                    if step == .done { clientIsDone = true }
                    if case .failed = step { return isChanged ? .fine : .finding("client: \(step)") }
                }
                if !serverIsDone {
                    let piece = Bytes(toServer.prefix(pieceBytes))
                    toServer.removeFirst(piece.count)
                    let (step, rest, said) = shake(server, piece)
                    toServer = rest + toServer
                    toClient += said
                    if said.count > Self.outputLimitBytes {
                        return .finding("\(said.count) bytes to be sent")
                    }
                    if step == .done { serverIsDone = true }
                    if case .failed = step { return isChanged ? .fine : .finding("server: \(step)") }
                }
                // Nothing is on its way, and both wait.
                if round > 0, toServer.isEmpty, toClient.isEmpty, !(clientIsDone && serverIsDone) { break }
                if clientIsDone, serverIsDone {
                    return mustFail ? .finding("both agree on a changed hello") : .fine
                }
            }
            return isChanged ? .fine : .finding("the handshake has no end")
        }

        /// The version in the first record's header means nothing, and is no part of what both ends compare
        /// (RFC 8446, 5.1).
        private static func withoutVersion(_ hello: Bytes) -> Bytes {
            Bytes(hello.prefix(1) + hello.dropFirst(3))
        }

        /// Text in one direction: what is read is a beginning of what was written, whatever happens between,
        /// and nothing comes behind a failure.
        func talk(_ text: Bytes, _ meddler: Meddler, _ pieceBytes: Int) -> Verdict {
            if let finding = shakeHands(nil, 16_384).finding { return .finding(finding) }
            let failure = ByteString(text).withView { client.write($0, &exchange) }
            if let failure { return .finding("write: \(failure.text.lossyText)") }
            let encrypted = takeOutput()
            if encrypted.count > text.count + 64 * (text.count / 1024 + 2) {
                return .finding("\(encrypted.count) bytes")
            }
            let shown = Bytes(text.prefix(24))
            if shown.count == 24, Set(shown).count > 8, encrypted.contains(shown) {
                return .finding("text in the clear")
            }
            let sent = meddler.apply(encrypted)
            var read: Bytes = []
            var isOver = false
            var place = 0
            while place < sent.count {
                let end = min(sent.count, place + pieceBytes * 16)
                let (heard, isEnd) = hear(Bytes(sent[place..<end]))
                place = end
                if isOver, !heard.isEmpty { return .finding("\(heard.count) bytes behind the end") }
                read += heard
                isOver = isOver || isEnd
                if takeOutput().count > Self.outputLimitBytes { return .finding("much to be sent") }
            }
            if !text.starts(with: read) { return .finding("read \(read.shown), written \(text.shown)") }
            if sent == encrypted, read.count != text.count {
                return .finding("\(read.count) of \(text.count) bytes")
            }
            return .fine
        }

        private func hear(_ bytes: Bytes) -> (Bytes, isEnd: Bool) {
            bytes.withUnsafeBytes {
                var view = ByteView($0)
                var heard: Bytes = []
                while true {
                    switch server.read(&view, into: exchange.room, TLSExchange.roomBytes, &exchange) {
                    case .bytes(let count):
                        heard += Bytes(ByteView(base: exchange.room, count: count).rawBuffer)
                    case .nothing: return (heard, false)
                    case .closed, .failed: return (heard, true)
                    }
                }
            }
        }
    }
}

extension Array where Element == UInt8 {
    fileprivate func contains(_ part: Bytes) -> Bool {
        guard count >= part.count else { return false }
        return (0...count - part.count).contains {
            self[$0] == part[0] && self[$0..<$0 + part.count].elementsEqual(part)
        }
    }
}
