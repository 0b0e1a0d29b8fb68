import Config
import Primitives
import Testing

@Suite struct UserEntryTests {
    @Test func everyKey() throws {
        let text: ByteString = """
            pool_size=1 reserve_pool_size=2 pool_mode=session max_user_connections=3 \
            max_user_client_connections=4 query_timeout=5 query_wait_timeout=6 \
            idle_transaction_timeout=7 transaction_timeout=8 client_idle_timeout=9
            """
        var wanted = UserEntry(name: "u")
        wanted.poolSize = 1
        wanted.reservePoolSize = 2
        wanted.poolMode = .session
        wanted.maxUserConnections = 3
        wanted.maxUserClientConnections = 4
        wanted.queryTimeout = .seconds(5)
        wanted.queryWaitTimeout = .seconds(6)
        wanted.idleTransactionTimeout = .seconds(7)
        wanted.transactionTimeout = .seconds(8)
        wanted.clientIdleTimeout = .seconds(9)
        #expect(try UserEntry(name: "u", text) == wanted)
    }

    @Test func zeroAndNegativeMeanNotSet() throws {
        let text: ByteString = """
            pool_size=-1 max_user_connections=0 max_user_client_connections=-1 query_timeout=0 \
            idle_transaction_timeout=0 transaction_timeout=-1 client_idle_timeout=0
            """
        #expect(try UserEntry(name: "u", text) == UserEntry(name: "u"))
        #expect(try UserEntry(name: "u", "query_wait_timeout=0").queryWaitTimeout == .zero)
    }

    @Test func unknownKeysAreErrors() {
        #expect(throws: ConnectString.Problem(text: "unrecognized user parameter: host")) {
            try UserEntry(name: "u", "host=x")
        }
    }

    @Test func peers() throws {
        var wanted = PeerEntry(id: 2, host: "h")
        #expect(try PeerEntry(name: "2", "host=h") == wanted)
        wanted.port = 7
        wanted.poolSize = 8
        #expect(try PeerEntry(name: "2", "host=h port=7 pool_size=8") == wanted)
        let range = "ids of peers must be a number larger than 0 and at most 65535"
        for name in ["0", "65536", "x", "-1", "99999999999999999999"] as [ByteString] {
            #expect(throws: ConnectString.Problem(text: range)) { try PeerEntry(name: name, "host=h") }
        }
        #expect(throws: ConnectString.Problem(text: "host was not provided for peer 1")) {
            try PeerEntry(name: "1", "port=5")
        }
    }
}
