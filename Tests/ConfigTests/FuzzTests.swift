import Config
import Primitives
import Testing

/// Bytes at random, and good files with a few bytes changed: anything may be refused, nothing may trap.
@Suite struct FuzzTests {
    private static let good: ByteString = """
        [databases]
        'a b' = host=x,y port=1 connect_query='it''s' pool_size=-1
        "c" = auth_query='x'
        * = dbname=d
        [users]
        u = query_timeout=1.5 pool_mode=session
        [peers]
        1 = host=h
        [pgbouncer]
        %include p.ini
        query_timeout = 0x10
        max_packet_size = 10 MB
        auth_file = users
        admin_users = a, b
        """
    /// Bytes that mean something to one of the parsers.
    private static let telling = Array("[]'\"=%;#\n\r\0 -+09eExXsm.,*".utf8)

    private func file(_ random: inout Random) -> ByteString {
        var bytes = random.below(3) == 0 ? random.bytes(random.below(200)) : Self.good.bytes
        for _ in 0..<random.below(7) where !bytes.isEmpty {
            let place = random.below(bytes.count)
            let byte =
                random.below(4) == 0
                ? UInt8(random.below(256)) : Self.telling[random.below(Self.telling.count)]
            switch random.below(3) {
            case 0: bytes[place] = byte
            case 1: bytes.remove(at: place)
            default: bytes.insert(byte, at: place)
            }
        }
        return ByteString(bytes)
    }

    @Test(arguments: 0..<UInt64(8))
    func noFileTraps(seed: UInt64) {
        var random = Random(seed: seed)
        for _ in 0..<300 {
            let text = file(&random)
            for line in complaints(text, ["users": text]) {
                #expect(!line.isEmpty && line.utf8.count < 2_000)
            }
            _ = try? Userlist.parse(text, file: "f")
            _ = try? ConnectString.pairs(text)
        }
    }

    @Test(arguments: 0..<UInt64(8))
    func noValueTraps(seed: UInt64) {
        var random = Random(seed: seed)
        let snapshot = Snapshot()
        for _ in 0..<300 {
            let letters = Array("0123456789xXeE.-+ kKmMgGbBsSuUhHdDinIN".utf8)
            let text = ByteString((0..<random.below(25)).map { _ in letters[random.below(letters.count)] })
            let row = GlobalSettings.rows[random.below(GlobalSettings.rows.count)]
            if case .success(let changed) = snapshot.setting(ByteString(row.name), to: text) {
                // What is printed is the same value again, but for times, which print rounded.
                let printed = row.text(in: changed.global)
                let again = try? changed.setting(ByteString(row.name), to: printed).get()
                #expect(again.map { row.text(in: $0.global) } == printed)
            }
            _ = try? DatabaseEntry(name: "d", "pool_size=" + text + " server_lifetime=" + text)
            _ = try? PeerEntry(name: text, "host=h")
        }
    }
}
