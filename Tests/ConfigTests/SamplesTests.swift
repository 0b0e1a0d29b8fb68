import Config
import Glibc
import Primitives
import Testing

/// The files in `conf/`.
/// `PGLIDO_WRITE_CONF=1 swift test --filter SamplesTests` writes the generated one anew.
@Suite struct SamplesTests {
    private static let folder = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 } + "/"

    private func file(_ name: ByteString) -> Result<ByteString, FileProblem> {
        guard let file = fopen(Self.folder + name.lossyText, "r") else {
            return .failure(FileProblem("missing"))
        }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var byte = getc(file)
        while byte != EOF {
            bytes.append(UInt8(truncatingIfNeeded: byte))
            byte = getc(file)
        }
        return .success(ByteString(bytes))
    }

    @Test func theSampleIsUpToDate() throws {
        let wanted = GlobalSettings.sampleIni()
        if getenv("PGLIDO_WRITE_CONF") != nil, let file = fopen(Self.folder + "conf/pglido.ini", "w") {
            fputs(wanted, file)
            fclose(file)
        }
        #expect(
            try file("conf/pglido.ini").get().lossyText == wanted,
            "stale: run PGLIDO_WRITE_CONF=1 swift test --filter SamplesTests")
    }

    @Test func theSampleMeansTheDefaults() throws {
        let loaded = try Snapshot.load(path: "conf/pglido.ini", read: file).get()
        var defaults = GlobalSettings()
        defaults.conffile = "conf/pglido.ini"
        #expect(loaded.snapshot.global == defaults && loaded.notices.isEmpty)
        #expect(loaded.snapshot.databases.isEmpty && loaded.snapshot.autoDatabase == nil)
    }

    @Test func theSampleWithoutItsSemicolonsMeansTheDefaultsToo() throws {
        let text = GlobalSettings.sampleIni().split(separator: "\n").filter { !$0.hasPrefix(";;") }
            .map { $0.hasPrefix(";") ? $0.dropFirst() : $0 }.joined(separator: "\n")
        let loaded = try load(ByteString(text)).get()
        #expect(loaded.snapshot.global == GlobalSettings())
        #expect(loaded.snapshot.databases.count == 1 && loaded.snapshot.peers.count == 1)
    }

    @Test func theMinimalConfigurationLoads() throws {
        let loaded = try Snapshot.load(path: "conf/minimal.ini", read: file).get()
        let global = loaded.snapshot.global
        #expect(loaded.notices.isEmpty)
        #expect(
            global.poolMode == .transaction && global.maxClientConn == 1000 && global.defaultPoolSize == 20)
        #expect(global.listenAddr == ["127.0.0.1"] && global.listenPort == 6432)
        #expect(
            global.serverIdleTimeout == .seconds(600) && !global.logConnections && !global.logDisconnections)
        #expect(loaded.snapshot.autoDatabase?.hosts == ["127.0.0.1"])
    }

    @Test func theTableForTheREADME() {
        let lines = GlobalSettings.markdownTable().split(separator: "\n")
        #expect(lines.count == GlobalSettings.rows.count + 2)
        #expect(lines.allSatisfy { $0.filter { $0 == "|" }.count == 5 })
        #expect(
            lines.contains(
                "| `query_wait_timeout` | `120` | now "
                    + "| Longest time a client may wait for a server; 0 waits for ever. |"
            ))
    }
}
