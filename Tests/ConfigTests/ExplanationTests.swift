import Config
import Primitives
import Testing

@Suite struct ExplanationTests {
    private static let text: ByteString = """
        [databases]
        app = host=db1,db2 pool_size=7 pool_mode=statement
        fixed = host=db1 user=owner password=hunter2
        * = host=other
        [users]
        joe = pool_size=3 query_timeout=5min
        owner = pool_mode=session
        [pgbouncer]
        default_pool_size = 40
        query_wait_timeout = 30s
        """

    private func explanation() -> Explanation {
        Explanation(Snapshot.examine(path: "p.ini", read: Files(["p.ini": Self.text]).read))
    }

    private func row(_ name: String, _ database: ByteString, _ user: ByteString?) -> String? {
        let pool = explanation().pools.first { $0.database == database && $0.user == user }
        return pool?.rows.first { $0.name == name }.map { "\($0.value?.lossyText ?? "-") \($0.origin)" }
    }

    @Test func everyPoolIsThere() {
        #expect(
            explanation().pools.map { "\($0.database.lossyText)/\($0.user?.lossyText ?? "*")" } == [
                "app/joe", "app/owner", "app/*", "fixed/owner", "*/joe", "*/owner", "*/*",
            ])
    }

    @Test func theUserComesBeforeTheDatabaseBeforeTheSetting() {
        #expect(row("pool_size", "app", "joe") == "3 p.ini:6")
        #expect(row("pool_size", "app", nil) == "7 p.ini:2")
        #expect(row("pool_size", "*", nil) == "40 p.ini:9 (default_pool_size)")
        #expect(row("pool_mode", "app", "joe") == "statement p.ini:2")
        #expect(row("pool_mode", "fixed", "owner") == "session p.ini:7")
        #expect(row("pool_mode", "*", nil) == "session default")
        #expect(row("query_timeout", "app", "joe") == "300 p.ini:6")
        #expect(row("query_wait_timeout", "app", "joe") == "30 p.ini:10")
        #expect(row("server_lifetime", "app", "joe") == "3600 default")
        #expect(row("host", "app", nil) == "db1,db2 p.ini:2")
        #expect(row("port", "app", nil) == "5432 default")
        #expect(row("dbname", "app", nil) == "app default")
        #expect(row("dbname", "*", nil) == "- default")
    }

    @Test func theTextHasNoPasswords() {
        let text = explanation().text
        #expect(text.contains("\ndatabase fixed, user owner\n") && text.contains("every other database"))
        #expect(text.contains("  default_pool_size"))
        #expect(!text.contains("hunter2"))
    }

    /// Where a password comes from is told; what it is, or may be, is not.
    @Test func sourcesOfPasswordsAreNamed() throws {
        let entry = try DatabaseEntry(name: "d", "user=u password_command='/bin/get-token --key hunter2'")
        #expect(entry.text == "user=u password_command='/bin/get-token ...'")
        #expect(
            try DatabaseEntry(name: "d", "password_command='PW=hunter2 get'").text
                == "password_command='... ...'")
        #expect(try DatabaseEntry(name: "d", "password_file=/run/token").text == "password_file=/run/token")
        #expect(try UserEntry(name: "u", "password_command=get-token").text == "password_command=get-token")
        #expect(try UserEntry(name: "u", "password_file=/run/token").text == "password_file=/run/token")
        let file: ByteString = """
            [databases]
            app = host=a password_command='/bin/get-token --key hunter2'
            [users]
            joe = password_file=/run/joe
            [pgbouncer]
            """
        let text = Explanation(Snapshot.examine(path: "p.ini", read: Files(["p.ini": file]).read)).text
        #expect(text.contains("/bin/get-token ...") && text.contains("p.ini:2"))
        #expect(text.contains("/run/joe") && text.contains("p.ini:4"))
        #expect(!text.contains("hunter2"))
    }

    @Test func entriesAreWrittenAsTheyAreRead() throws {
        let line: ByteString =
            "host=a,/tmp port=5433 dbname=x user=u auth_user=au auth_query='select ''q''' auth_dbname=ad "
            + "pool_size=1 min_pool_size=2 reserve_pool_size=3 max_db_connections=4 "
            + "max_db_client_connections=5 server_lifetime=60 query_wait_timeout=0.5 pool_mode=session "
            + "connect_query='select 1' load_balance_hosts=disable client_encoding=UTF8 datestyle='ISO, MDY' "
            + "timezone=UTC application_name=app"
        let entry = try DatabaseEntry(name: "d", line)
        #expect(entry.text == line)
        #expect(try DatabaseEntry(name: "d", "password=secret user=u").text == "user=u password=...")
        let user: ByteString =
            "pool_size=1 reserve_pool_size=2 pool_mode=session max_user_connections=3 "
            + "max_user_client_connections=4 query_timeout=5 query_wait_timeout=0 idle_transaction_timeout=6 "
            + "transaction_timeout=7 client_idle_timeout=8"
        #expect(try UserEntry(name: "u", user).text == user)
        #expect(
            try PeerEntry(name: "1", "host=h port=6433 pool_size=2").text == "host=h port=6433 pool_size=2")
    }

    @Test func everyLineOfABrokenUserListIsNamed() {
        let found = complaints(
            "[pgbouncer]\nauth_file = u\npool_mode = x\n", ["u": "\"a\" \"b\"\n\"c\n\"d\" \"e\"\nf\n"])
        #expect(found.count == 3)
        #expect(found[0].contains("(p.ini:3)") && found[1].contains("(u:2)") && found[2].contains("(u:4)"))
    }
}
