import Foundation
import Testing

/// Settings that are read and shown, and that nothing asks for: README.md has to own up to them.
@Suite struct IdleSettingsTests {
    /// Name and property of every row of the settings table.
    private let rows: [(name: String, property: String)] = {
        let files = Repository.sources.filter { $0.path.hasPrefix("Sources/Config/GlobalSettings+") }
        let text = files.flatMap(\.lines).joined(separator: "\n")
        let row = try? NSRegularExpression(pattern: #""(\w+)",\s*\\\.(\w+),"#)
        let found = row?.matches(in: text, range: NSRange(text.startIndex..., in: text)) ?? []
        return found.compactMap { match in
            guard let name = Range(match.range(at: 1), in: text),
                let property = Range(match.range(at: 2), in: text)
            else { return nil }
            return (String(text[name]), String(text[property]))
        }
    }()

    @Test func theReadmeNamesSettingsWithoutEffect() throws {
        #expect(rows.count > 90)
        let readers = Repository.sources.filter {
            !$0.path.hasPrefix("Sources/Config/GlobalSettings") && !$0.path.hasPrefix("Sources/Simulator/")
        }
        let code = readers.flatMap(\.code).joined(separator: "\n")
        let words = Set(code.split { !($0.isLetter || $0.isNumber || $0 == "_") }.map(String.init))
        let idle = rows.filter { row in
            !words.contains(row.property)
        }
        let readme = try #require(Repository.text("README.md")).components(separatedBy: "\n")
        let begin = try #require(readme.firstIndex(of: "<!-- idle settings: begin -->"))
        let end = try #require(readme[begin...].firstIndex(of: "<!-- idle settings: end -->"))
        let quoted = readme[begin..<end].joined(separator: "\n").components(separatedBy: "`")
        let named = quoted.enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
        #expect(Set(named) == Set(idle.map(\.name)), "README.md, between the marks of idle settings")
    }
}
