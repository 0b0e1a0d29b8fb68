import Primitives
import Testing
import Wire

/// The readers, with bodies that lie.
@Suite struct ServerMessagesTests {
    private func bytes(_ text: String) -> ByteString { ByteString(Array(text.utf8)) }

    @Test(
        arguments: [
            ("a\0b\0", "a=b"), ("a\0\0", "a="), ("\0\0", "="), ("a\0b", nil), ("a\0", nil), ("a", nil),
            ("", nil),
            ("a\0b\0c", nil), ("a\0b\0\0", nil),
        ] as [(String, String?)])
    func parameterStatus(_ body: String, _ expected: String?) {
        let found = bytes(body).withView { view in
            ServerMessage.parameterStatus(view).map { "\($0.name.lossyText)=\($0.value.lossyText)" }
        }
        #expect(found == expected)
    }

    @Test(
        arguments: [(0, nil), (4, nil), (7, nil), (8, 4), (36, 32), (260, 256), (261, nil)]
            as [(Int, Int?)])
    func backendKeyData(_ count: Int, _ secretCount: Int?) {
        let found = ByteString([UInt8](repeating: 1, count: count)).withView {
            ServerMessage.backendKeyData($0)?.secret.count
        }
        #expect(found == secretCount)
    }

    @Test(
        arguments: [
            ("I", .idle), ("T", .inTransaction), ("E", .failed), ("X", nil), ("", nil), ("II", nil),
            ("\0", nil),
        ] as [(String, TransactionStatus?)])
    func readyForQuery(_ body: String, _ expected: TransactionStatus?) {
        #expect(bytes(body).withView { ServerMessage.readyForQuery($0) } == expected)
    }

    @Test(
        arguments: [
            ("SERROR\0C42601\0Mtext\0\0", "text"), ("Mtext\0\0", "text"), ("M\0\0", ""), ("Mtext", nil),
            ("", nil),
            ("\0Mtext\0", nil), ("SERROR\0", nil), ("S", nil), ("MM\0Msecond\0\0", "M"),
        ] as [(String, String?)])
    func fields(_ body: String, _ expected: String?) {
        #expect(bytes(body).withView { ServerMessage.field(0x4D, of: $0)?.lossyText } == expected)
    }

    @Test(
        arguments: [
            ("x\0select 1\0\0\0", "x/11"), ("\0\0\0\0", "/3"), ("x\0sql\0\0\u{1}\0\0\0\u{7}", "x/10"),
            ("x\0sql\0\0\u{2}\0\0\0\u{7}", nil), ("x\0sql\0\0", nil), ("x\0sql", nil), ("x", nil),
            ("", nil),
            ("x\0sql\0\0\0extra", nil), ("x\0sql\0\u{7F}\u{7F}", nil),
        ] as [(String, String?)])
    func parse(_ body: String, _ expected: String?) {
        let found = bytes(body).withView { view in
            ClientMessage.parse(view).map { "\($0.name.lossyText)/\($0.definition.count)" }
        }
        #expect(found == expected)
    }

    @Test(
        arguments: [
            ("p\0s\0rest", "p/s/4"), ("\0\0", "//2"), ("\0s\0", "/s/3"), ("p\0s", nil), ("p", nil),
            ("", nil),
        ] as [(String, String?)])
    func bind(_ body: String, _ expected: String?) {
        let found = bytes(body).withView { view in
            ClientMessage.bind(view).map {
                "\($0.portal.lossyText)/\($0.statement.lossyText)/\($0.length)"
            }
        }
        #expect(found == expected)
    }

    @Test(
        arguments: [
            ("Sx\0", "83 x"), ("P\0", "80 "), ("Zx\0", "90 x"), ("S", nil), ("", nil), ("Sx", nil),
            ("Sx\0y", nil),
            ("Sx\0\0", nil),
        ] as [(String, String?)])
    func targets(_ body: String, _ expected: String?) {
        let found = bytes(body).withView { view in
            ClientMessage.target(view).map { "\($0.kind) \($0.name.lossyText)" }
        }
        #expect(found == expected)
    }

    /// Random bytes: no reader traps, and none names bytes outside the body.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func noReaderTraps(_ seed: UInt64) {
        var random = Random(seed: seed)
        for _ in 0..<500 {
            let body = ByteString(random.bytes(random.below(24)).map { $0 & 3 == 0 ? 0 : $0 })
            body.withView { view in
                let parsed = ClientMessage.parse(view)
                #expect(parsed.map { $0.name.count + 1 + $0.definition.count == view.count } ?? true)
                let bound = ClientMessage.bind(view)
                #expect(bound.map { $0.length <= view.count } ?? true)
                _ = ClientMessage.target(view)
                _ = ServerMessage.parameterStatus(view)
                _ = ServerMessage.backendKeyData(view)
                _ = ServerMessage.readyForQuery(view)
                for letter in [0x53, 0x4D, 0] as [UInt8] { _ = ServerMessage.field(letter, of: view) }
            }
        }
    }
}
