import Primitives
import Testing
import Wire

/// The first bytes of a connection, good and bad.
@Suite struct StartupPacketTests {
    private func packet(_ length: UInt32?, _ code: UInt32, _ rest: [UInt8] = []) -> ByteString {
        var buffer = ByteBuffer()
        buffer.append(uint32: length ?? UInt32(8 + rest.count))
        buffer.append(uint32: code)
        buffer.append(ByteString(rest))
        return ByteString(buffer.view)
    }

    private func read(_ bytes: ByteString) -> String {
        bytes.withView { view in
            let (packet, length) = StartupPacket.read(view)
            switch packet {
            case .incomplete: return "incomplete"
            case .startup(let minor, let parameters):
                return "startup 3.\(minor) \(parameters.count) of \(length)"
            case .sslRequest: return "ssl \(length)"
            case .gssRequest: return "gss \(length)"
            case .cancel(let processID, let secret):
                return "cancel \(processID) \(secret.count) of \(length)"
            case .oldProtocol: return "old"
            case .directTLS: return "tls"
            case .message(let kind): return "message \(kind)"
            case .unknown: return "unknown"
            }
        }
    }

    @Test(arguments: [
        ([0] as [UInt8], "incomplete"),
        ([0, 0, 0], "incomplete"),
        ([0, 0, 0, 0], "unknown"),
        ([0, 0, 0, 4], "unknown"),
        ([0, 0, 0, 7], "unknown"),
        ([0, 0, 0, 8], "incomplete"),
        ([0, 0, 0x27, 0x10], "incomplete"),
        ([0, 0, 0x27, 0x11], "unknown"),
        ([0, 0xFF, 0xFF, 0xFF], "unknown"),
        (Array("GET / HTTP/1.1".utf8), "message 71"),
        (Array("SSH-2.0".utf8), "message 83"),
        ([0x16, 3, 1], "tls"),
        (Array("Q".utf8), "message 81"),
        (Array("p".utf8), "message 112"),
        ([0xFF], "message 255"),
    ])
    func firstBytesDecide(_ bytes: [UInt8], _ meaning: String) {
        #expect(read(ByteString(bytes)) == meaning)
    }

    @Test func everyKindIsKnown() {
        let ssl: UInt32 = 1234 << 16 | 5679
        let gss: UInt32 = 1234 << 16 | 5680
        let cancel: UInt32 = 1234 << 16 | 5678
        #expect(read(packet(8, ssl)) == "ssl 8")
        #expect(read(packet(9, ssl, [0])) == "unknown")
        #expect(read(packet(8, gss)) == "gss 8")
        #expect(read(packet(12, gss, [0, 0, 0, 0])) == "unknown")
        #expect(read(packet(nil, cancel, [0, 0, 0, 7, 1, 2, 3, 4])) == "cancel 7 4 of 16")
        #expect(read(packet(16, cancel, [0, 0, 0, 7, 1, 2, 3])) == "incomplete")
        #expect(read(packet(12, cancel, [0, 0, 0, 7])) == "cancel 0 0 of 12")
        let long = [UInt8](repeating: 1, count: 256)
        #expect(read(packet(nil, cancel, [0, 0, 0, 7] + long)) == "cancel 7 256 of 268")
        #expect(read(packet(nil, cancel, [0, 0, 0, 7, 0] + long)) == "unknown")
        #expect(read(packet(nil, 2 << 16, [0])) == "old")
        #expect(read(packet(nil, 3 << 16, [0])) == "startup 3.0 1 of 9")
        #expect(read(packet(20, 3 << 16, [0])) == "incomplete")
        #expect(read(packet(nil, 3 << 16 | 9999, [0])) == "startup 3.9999 1 of 9")
        #expect(read(packet(nil, 4 << 16, [0])) == "unknown")
        #expect(read(packet(nil, 1234 << 16 | 9999)) == "unknown")
        #expect(read(packet(8, 3 << 16)) == "startup 3.0 0 of 8")
    }

    @Test func theLongestPacketIsPostgreSQLs() {
        let room = StartupPacket.limitBytes - 8
        #expect(
            read(packet(nil, 3 << 16, [UInt8](repeating: 0x61, count: room)))
                == "startup 3.0 \(room) of 10000")
        #expect(read(packet(nil, 3 << 16, [UInt8](repeating: 0x61, count: room + 1))) == "unknown")
    }

    /// Whatever comes, a longer prefix of it never means something else than a shorter one that was decided.
    @Test(arguments: 1...30 as ClosedRange<UInt64>)
    func decisionsDoNotChangeWithMoreBytes(_ seed: UInt64) {
        var random = Random(seed: seed)
        let codes: [UInt32] = [
            3 << 16, 2 << 16, 1234 << 16 | 5678, 1234 << 16 | 5679, 1234 << 16 | 5680, 7,
        ]
        let rest = random.bytes(random.below(40))
        let length = random.below(3) == 0 ? UInt32(random.below(60)) : UInt32(8 + rest.count)
        let bytes = packet(length, codes[random.below(codes.count)], rest)
        var decided: String?
        for count in 0...bytes.count {
            let meaning = read(ByteString(Array(bytes.bytes.prefix(count))))
            if let decided { #expect(meaning == decided) }
            if meaning != "incomplete" { decided = meaning }
        }
    }
}

@Suite struct StartupParametersTests {
    private func pairs(_ text: String) -> [String]? {
        ByteString(Array(text.utf8)).withView { view -> [String]? in
            guard var parameters = StartupParameters(view) else { return nil }
            var all: [String] = []
            while let (name, value) = parameters.next() {
                all.append("\(name.lossyText)=\(value.lossyText)")
            }
            return all
        }
    }

    @Test(
        arguments: [
            ("", nil),
            ("\0", []),
            ("user\0u\0\0", ["user=u"]),
            ("user\0\0\0", ["user="]),
            ("user\0u\0database\0d\0\0", ["user=u", "database=d"]),
            ("user\0u\0user\0v\0\0", ["user=u", "user=v"]),
            ("user\0u\0", nil),
            ("user\0u", nil),
            ("user\0", nil),
            ("user\0\0", nil),
            ("user\0u\0\0x\0y\0\0", nil),
            ("user\0u\0\0\0", nil),
            ("user", nil),
        ] as [(String, [String]?)])
    func layout(_ text: String, _ expected: [String]?) {
        #expect(pairs(text) == expected)
    }
}
