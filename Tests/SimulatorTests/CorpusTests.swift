import Glibc
import Simulator
import Testing

/// Every script that ever found something is replayed for ever.
struct CorpusTests {
    private static let folder: String = {
        let parts = #filePath.split(separator: "/").dropLast(2)
        return "/" + parts.joined(separator: "/") + "/Corpus/simulator"
    }()

    static let names: [String] = {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasSuffix(".simscript") { names.append(name) }
        }
        return names.sorted()
    }()

    @Test(arguments: CorpusTests.names) func findsNothing(_ name: String) throws {
        let text = try #require(read(CorpusTests.folder + "/" + name))
        let scenario = try #require(Scenario(text: text), "\(name) is no script")
        let world = World(scenario)
        world.run()
        #expect(world.verdict.finding == nil)
    }

    @Test func isThere() { #expect(!CorpusTests.names.isEmpty) }

    private func read(_ path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}
