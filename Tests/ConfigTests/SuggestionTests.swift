import Config
import Primitives
import Testing

@Suite struct SuggestionTests {
    @Test(
        arguments: [
            ("max_clients_conn", "max_client_conn"), ("pool-mode", "pool_mode"), ("POOL_mode", nil),
            ("server_idle_timout", "server_idle_timeout"), ("auth_typ", "auth_type"), ("x", nil), ("", nil),
            ("users", "user"), ("service_name", nil),
        ] as [(ByteString, String?)])
    func theNearestNameIsOffered(typed: ByteString, meant: String?) {
        guard case .failure(let error) = Snapshot().setting(typed, to: "1") else {
            return #expect(Bool(false))
        }
        #expect(error.kind == .unknownSetting)
        #expect(error.expected == meant.map { "did you mean \($0)?" } ?? "")
    }

    @Test func longNamesCostNothing() {
        let long = ByteString([UInt8](repeating: 0x61, count: 1 << 20))
        guard case .failure(let error) = Snapshot().setting(long, to: "1") else {
            return #expect(Bool(false))
        }
        #expect(error.expected.isEmpty && error.text.utf8.count < 300)
    }
}
