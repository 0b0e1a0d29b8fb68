import Auth
import Crypto
import Primitives
import Testing
import Wire

/// RELIABILITY's table C, as far as it can be told from the messages alone.
@Suite struct HostileClientTests {
    /// The answer to a first SASL message.
    private func first(_ body: ByteString) -> ClientAuthStep {
        var client = Login(.scram, SecretSample.scram.secret)
        _ = client.begin()
        return client.received(body).0
    }

    @Test func mechanisms() {
        for mechanism in ["SCRAM-SHA-1\0", "SCRAM-SHA-256-PLUS\0", "\0", "scram-sha-256\0", "PLAIN\0"]
            as [ByteString]
        {
            let step = first(saslInitial("n,,n=,r=abc", mechanism: mechanism))
            #expect(step.failure?.text == "client selected an invalid SASL authentication mechanism")
        }
        // C10, C18
        #expect(first(saslInitial("", mechanism: "SCRAM-SHA-256")).failure != nil)
        #expect(first("c=biws,r=abc,p=AAAA").failure?.text == "SASL authentication failed")
        #expect(first("").failure?.text == "SASL authentication failed")
        #expect(first("SCRAM-SHA-256\0\0\0").failure?.text == "SASL authentication failed")
    }

    /// C6 to C9, and one byte too long or too short.
    @Test(arguments: [UInt32.max, 0x7FFF_FFFF, 0xFFFF_FFF0, 0, 10, 12])
    func innerLengths(length: UInt32) {
        #expect(first(saslInitial("n,,n=,r=abc", length: length)).failure == .sasl(.malformedScram))
    }

    @Test func firstMessages() {
        let cases: [(ByteString, ClientAuthFailure.Reason?)] = [
            ("n,,n=,r=abc", nil), ("y,,n=,r=abc", nil), ("n,,n=adm,r=abc", nil), ("n,,n=,r=abc,x=1", nil),
            ("n,,n=,r=", .malformedScram), ("n,,n=,r=a\u{7}c", .malformedScram),
            ("n,,n=,r=a c", .malformedScram),
            ("n,,n=,r=\u{E9}", .malformedScram), ("p=tls-server-end-point,,n=,r=abc", .channelBinding),
            ("n,a=bob,n=,r=abc", .authorizationIdentity), ("n,,m=x,n=,r=abc", .mandatoryExtension),
            ("", .malformedScram), ("n", .malformedScram), ("n,", .malformedScram), ("n,,", .malformedScram),
            ("n,,n=", .malformedScram), ("n,,r=abc", .malformedScram), ("n,,r=abc,n=", .malformedScram),
            ("x,,n=,r=abc", .malformedScram), ("n,x,n=,r=abc", .malformedScram),
            ("n,,n=,r=abc,", .malformedScram), ("n,,n=,r=abc,junk", .malformedScram),
            ("n,,n=,r=abc\0", .malformedScram), ("c=biws,r=abc,p=AAAA", .malformedScram),
        ]
        for (message, reason) in cases {
            let step = first(saslInitial(message))
            #expect(step.failure == reason.map { .sasl($0) }, "\(message.lossyText)")
            #expect(step.isWaiting == (reason == nil))
        }
        let long = ByteString(Array("n,,n=,r=".utf8) + [UInt8](repeating: 0x61, count: 1024))
        #expect(first(saslInitial(long)).failure == .sasl(.tooLong))
    }

    /// C19: every part of a right client-final, spoilt.
    @Test func finalMessages() {
        typealias Spoil = (String) -> String
        let cases: [(String, Spoil)] = [
            ("wrong nonce", { $0.replacing("r=", with: "r=x") }),
            ("shorter nonce", { $0.replacing(",p=", with: "\u{0},p=") }),
            ("c= of another flag", { $0.replacing("c=biws", with: "c=eSws") }),
            ("c= of a binding", { $0.replacing("c=biws", with: "c=cD10bHM=") }),
            ("no c=", { String($0.dropFirst(7)) }),
            ("bad base64", { $0.replacing(",p=", with: ",p=*") }), ("proof cut", { String($0.dropLast(4)) }),
            ("proof of 31 bytes", { String($0.dropLast(4)) + "AA==" }),
            ("proof of 33 bytes", { String($0.dropLast(1)) + "AAAA" }),
            ("no proof", { String($0.prefix(while: { $0 != "p" })) }),
            ("proof twice", { $0 + "," + $0.split(separator: ",")[2] }), ("p= not last", { $0 + ",x=1" }),
            ("comma behind", { $0 + "," }), ("NUL behind", { $0 + "\u{0}" }), ("space before", { " " + $0 }),
            ("empty", { _ in "" }), ("extension not signed", { $0.replacing(",p=", with: ",x=1,p=") }),
            ("another proof", { $0.prefix($0.count - 44) + String(repeating: "A", count: 43) + "=" }),
        ]
        for (name, spoil) in cases {
            var (client, final) = HostileClientTests.beforeFinal()
            let spoilt = ByteString(spoil(final.lossyText))
            #expect(spoilt != final, "\(name)")
            #expect(client.received(spoilt).0.failure?.text == "SASL authentication failed", "\(name)")
            // The exchange is over: the right answer comes too late.
            #expect(client.received(final).0.failure != nil, "\(name)")
        }
        var (client, final) = HostileClientTests.beforeFinal()
        #expect(client.received(final).0.isAccepted)
    }

    /// C32
    @Test func aRecordedProofIsOfNoUseAgain() {
        let (_, final) = HostileClientTests.beforeFinal()
        var (client, other) = HostileClientTests.beforeFinal(seed: 77)
        #expect(final != other)
        #expect(client.received(final).0.failure == .sasl(.nonceMismatch))
    }

    @Test func mutatedMessagesNeverGetIn() {
        var random = Random(seed: 20_260)
        for round in 0..<20_000 {
            var (client, final) = HostileClientTests.beforeFinal(seed: UInt64(round & 7))
            let spoilt = mutated(final, &random)
            if spoilt != final { #expect(!client.received(spoilt).0.isAccepted) }
        }
    }

    @Test func mutatedFirstMessagesNeverTrap() {
        var random = Random(seed: 20_261)
        let message = saslInitial("n,,n=alice,r=fyko+d2lbbFgONRv9qkxdawL")
        for round in 0..<20_000 {
            var client = Login([.scram, .plain, .md5][round % 3], SecretSample.plain.secret)
            if round % 3 == 0 { client.cache = Self.warmCache }
            _ = client.begin()
            #expect(!client.received(mutated(message, &random)).0.isAccepted)
            #expect(!client.received(mutated("c=biws,r=abc,p=AAAA", &random)).0.isAccepted)
        }
    }

    private static let warmCache: ScramKeyCache = {
        var client = Login(.scram, SecretSample.plain.secret)
        _ = client.begin()
        _ = client.received(saslInitial("n,,n=,r=abc"))
        return client.cache
    }()

    /// A login that waits for its last message, and that message.
    private static func beforeFinal(seed: UInt64 = 5) -> (Login, ByteString) {
        var client = Login(.scram, SecretSample.scram.secret)
        client.entropy = Random(seed: seed)
        var server = ServerLogin(.secret(Secret(Login.password)))
        var requests = client.begin().1
        for _ in 0..<2 {
            let reply = requests.first.map { server.received($0.body).1 }?.first?.body ?? ""
            if reply.hasPrefix("c=") { return (client, reply) }
            requests = client.received(reply).1
        }
        let reply = requests.first.map { server.received($0.body).1 }?.first?.body ?? ""
        return (client, reply)
    }
}

extension ByteString {
    fileprivate func hasPrefix(_ text: StaticString) -> Bool { withView { $0.hasPrefix(text) } }
}

/// One to four bytes changed, inserted, removed or doubled.
func mutated(_ message: ByteString, _ random: inout Random) -> ByteString {
    let telling: [UInt8] = [0, 0x2C, 0x3D, 0x3A, 0x24, 0xFF, 0x7F, 0x80, 0x70, 0x72, 0x61]
    var bytes = message.bytes
    for _ in 0...random.below(4) {
        let place = random.below(bytes.count + 1)
        let byte = random.below(2) == 0 ? telling[random.below(telling.count)] : random.bytes(1)[0]
        switch random.below(5) {
        case 0 where place < bytes.count: bytes[place] = byte
        case 1: bytes.insert(byte, at: place)
        case 2 where place < bytes.count: bytes.remove(at: place)
        case 3: bytes.removeSubrange(place...)
        default: bytes += bytes[place...]
        }
    }
    return ByteString(bytes)
}
