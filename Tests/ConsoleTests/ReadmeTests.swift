import Config
import EventLoop
import Glibc
import Session
import Testing

@testable import Console

/// The parts of README.md that are made from tables of the sources. They stand here together, because these
/// tests see all the tables.
/// `PGLIDO_WRITE_CONF=1 swift test --filter ReadmeTests` writes them anew.
@Suite(.serialized) struct ReadmeTests {
    struct Part: Sendable, CustomTestStringConvertible {
        /// What stands in the comments around it: `<!-- settings: begin -->` and `<!-- settings: end -->`.
        let name: String
        let text: @Sendable () -> String

        var testDescription: String { name }

        static let all = [
            Part(name: "settings") { GlobalSettings.markdownTable() },
            Part(name: "console") { CommandTable.markdownTable() },
            Part(name: "refusals") { Refusal.markdownTable() },
            Part(name: "log events") { LogEvent.markdownTable() },
        ]
    }

    @Test(arguments: Part.all)
    func theTableIsUpToDate(part: Part) throws {
        let readme = try #require(Text.read("README.md"))
        let renewed = try #require(
            Text.replacing(part.name, in: readme, with: part.text()), "the marks around it are missing")
        if getenv("PGLIDO_WRITE_CONF") != nil { Text.write("README.md", renewed) }
        #expect(
            Text.read("README.md") == renewed,
            "stale: run PGLIDO_WRITE_CONF=1 swift test --filter ReadmeTests")
    }

    @Test func onlyWhatIsBetweenTheMarksIsReplaced() {
        let old = "a\n<!-- x: begin -->\nold\n\nold\n<!-- x: end -->\nb\n<!-- y: begin -->\n"
        let new = "a\n<!-- x: begin -->\n\n1\n2\n\n<!-- x: end -->\nb\n<!-- y: begin -->\n"
        #expect(Text.replacing("x", in: old, with: "1\n2\n") == new)
        #expect(Text.replacing("x", in: new, with: "1\n2\n") == new)
        #expect(Text.replacing("y", in: old, with: "1\n") == nil)
        #expect(Text.replacing("z", in: old, with: "1\n") == nil)
    }

    @Test func everyRefusalIsInTheTable() throws {
        let rows = try #require(Text.read("Sources/Session/Refusal+Table.swift"))
        let source = try #require(Text.read("Sources/Session/Refusal.swift"))
        let names = source.split(separator: "\n").compactMap { line -> Substring? in
            let words = line.split(whereSeparator: { " (:".contains($0) })
            guard words.count > 3, words[..<2] == ["public", "static"] else { return nil }
            return words[3]
        }
        #expect(names.count > 40)
        for name in names {
            let isThere = ["\(name),", "\(name)(", "\(name) "].contains { rows.contains(".\($0)") }
            #expect(isThere, "Refusal.\(name) is not in Refusal.all")
        }
    }
}

/// Files of the repository as text.
private enum Text {
    private static let folder = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 } + "/"

    /// `nil` when there is no such file.
    static func read(_ path: String) -> String? {
        guard let file = fopen(folder + path, "r") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var byte = getc(file)
        while byte != EOF {
            bytes.append(UInt8(truncatingIfNeeded: byte))
            byte = getc(file)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func write(_ path: String, _ text: String) {
        guard let file = fopen(folder + path, "w") else { return }
        fputs(text, file)
        fclose(file)
    }

    /// `text` with other lines between the two marks; `nil` when it does not have both, in order.
    static func replacing(_ name: String, in text: String, with part: String) -> String? {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard let begin = lines.firstIndex(of: "<!-- \(name): begin -->"),
            let end = lines[begin...].firstIndex(of: "<!-- \(name): end -->")
        else { return nil }
        let renewed = part.split(separator: "\n", omittingEmptySubsequences: false)
        // Markdown wants an empty line before and behind a table; the part ends in one of its own.
        return (lines[...begin] + [""] + renewed + lines[end...]).joined(separator: "\n")
    }
}
