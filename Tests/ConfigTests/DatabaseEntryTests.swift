import Config
import Primitives
import Testing

@Suite struct DatabaseEntryTests {
    private func problem(_ text: ByteString, name: ByteString = "db") -> String? {
        do throws(ConnectString.Problem) {
            _ = try DatabaseEntry(name: name, text)
            return nil
        } catch {
            return error.text
        }
    }

    @Test func anEmptyLineHasTheDefaults() throws {
        let entry = try DatabaseEntry(name: "db", "")
        #expect(entry == DatabaseEntry(name: "db"))
        #expect(entry.port == 5432 && entry.hosts.isEmpty && entry.dbname == nil)
    }

    @Test func everyKey() throws {
        let text: ByteString = """
            host=one,::1,/dir,@abstract port=6000 dbname=d user=u password='p w' auth_user=au \
            auth_query='select $1' auth_dbname=ad pool_size=1 min_pool_size=2 reserve_pool_size=3 \
            max_db_connections=4 max_db_client_connections=5 server_lifetime=6 query_wait_timeout=7 pool_mode=Statement \
            connect_query='set x=''y''' load_balance_hosts=disable client_encoding=ce \
            datestyle=ds timezone=tz application_name=an
            """
        var wanted = DatabaseEntry(name: "db")
        wanted.hosts = ["one", "::1", "/dir", "@abstract"]
        wanted.port = 6000
        wanted.dbname = "d"
        wanted.user = "u"
        wanted.password = "p w"
        wanted.authUser = "au"
        wanted.authQuery = "select $1"
        wanted.authDbname = "ad"
        wanted.poolSize = 1
        wanted.minPoolSize = 2
        wanted.reservePoolSize = 3
        wanted.maxDbConnections = 4
        wanted.maxDbClientConnections = 5
        wanted.serverLifetime = .seconds(6)
        wanted.queryWaitTimeout = .seconds(7)
        wanted.poolMode = .statement
        wanted.connectQuery = "set x='y'"
        wanted.loadBalanceHosts = .disable
        wanted.clientEncoding = "ce"
        wanted.datestyle = "ds"
        wanted.timezone = "tz"
        wanted.applicationName = "an"
        #expect(try DatabaseEntry(name: "db", text) == wanted)
    }

    @Test func negativeMeansNotSet() throws {
        let text: ByteString = """
            pool_size=-1 min_pool_size=-1 reserve_pool=-5 max_db_connections=0 max_db_client_connections=-1 \
            server_lifetime=0 query_wait_timeout=-1
            """
        #expect(try DatabaseEntry(name: "db", text) == DatabaseEntry(name: "db"))
        #expect(try DatabaseEntry(name: "db", "pool_size=0").poolSize == 0)
        #expect(try DatabaseEntry(name: "db", "query_wait_timeout=0").queryWaitTimeout == .zero)
        #expect(try DatabaseEntry(name: "db", "reserve_pool=2").reservePoolSize == 2)
        #expect(try DatabaseEntry(name: "db", "server_lifetime=1.5").serverLifetime == .milliseconds(1500))
    }

    @Test func garbageIsAnError() {
        #expect(problem("pool_size=ten") == "pool_size=ten: expected an integer up to 2147483647")
        #expect(problem("pool_size=0x10") != nil)
        #expect(problem("pool_size=99999999999") != nil)
        #expect(problem("port=0") == "invalid port: 0: expected 1 to 65535")
        #expect(problem("port=65536") != nil)
        #expect(
            problem("pool_mode=tx")
                == "invalid pool mode: tx: expected one of session, transaction, statement")
        #expect(problem("load_balance_hosts=x")?.hasPrefix("invalid load_balance_hosts: x") == true)
        #expect(problem("hostt=x") == "unrecognized connection parameter: hostt")
        #expect(problem("host=a,,b") != nil)
        #expect(problem("host=a, b") != nil)
        #expect(problem("server_lifetime=99999999999") != nil)
    }

    @Test func namesAreChecked() {
        #expect(problem("", name: "pgbouncer") == "database name \"pgbouncer\" is reserved")
        #expect(problem("", name: ByteString([UInt8](repeating: 0x61, count: 63))) == nil)
        #expect(
            problem("", name: ByteString([UInt8](repeating: 0x61, count: 64)))?.hasPrefix("too long") == true)
    }
}
