import Foundation
import Testing

/// Rules on the shape of lines, comments and functions.
enum Shape {
    static let lineLimitColumns = 110
    static let functionAimLines = 70
    /// A function this much over the aim was let grow; a longer one was meant to be long.
    static let creepingLines = 71...75

    static func longLines(_ file: SourceText) -> [String] {
        file.lines.indices.filter { file.lines[$0].unicodeScalars.count > lineLimitColumns }.map {
            file.place($0, "\(file.lines[$0].unicodeScalars.count) columns, \(lineLimitColumns) fit: wrap it")
        }
    }

    /// A promise to the compiler must say why it holds, on its line or on the one above.
    static func unexplainedPromises(_ file: SourceText) -> [String] {
        let promises = ["@unchecked Sendable", "nonisolated(unsafe)"]
        return file.code.indices.filter { index in
            guard promises.contains(where: { file.code[index].contains($0) }) else { return false }
            let above = index > 0 ? file.lines[index - 1].trimmingCharacters(in: .whitespaces) : ""
            return !file.lines[index].contains("//") && !above.hasPrefix("//")
        }.map { file.place($0, "say in a comment on or above this line why it is safe, or do without") }
    }

    /// Every function: where it starts, and its lines from there to its closing brace.
    static func functions(_ file: SourceText) -> [(line: Int, count: Int)] {
        guard let start = try? NSRegularExpression(pattern: #"(^|\s)(func\s|init[?]?[(<]|deinit\s)"#) else {
            return []
        }
        return file.code.indices.filter { start.matches(file.code[$0]) }.compactMap { first in
            var depth = 0
            for index in first..<file.code.count {
                for byte in file.code[index].utf8 where byte == UInt8(ascii: "{") || byte == UInt8(ascii: "}")
                {
                    depth += byte == UInt8(ascii: "{") ? 1 : -1
                    if depth < 0 { return nil }  // a requirement of a protocol: it has no body
                    if depth == 0 { return (first, index - first + 1) }
                }
            }
            return nil
        }
    }
}

@Suite struct ShapeTests {
    @Test func linesFit() {
        let findings = Repository.sources.flatMap { Shape.longLines($0) }
        #expect(findings.isEmpty, "\(findings.joined(separator: "\n"))")
    }

    @Test func linesFitSeesALongLine() {
        let line = String(repeating: "µ", count: 110)
        #expect(Shape.longLines(SourceText(path: "a.swift", text: line)).isEmpty)
        #expect(
            Shape.longLines(SourceText(path: "a.swift", text: "\n" + line + "x")).first?.hasPrefix(
                "a.swift:2:") == true)
    }

    @Test func promisesToTheCompilerAreExplained() {
        let findings = Repository.sources.flatMap { Shape.unexplainedPromises($0) }
        #expect(findings.isEmpty, "\(findings.joined(separator: "\n"))")
    }

    @Test func promisesSeesAnUnexplainedOne() {
        let promise = "final class A: @unchecked Sendable {}"
        for (text, count) in [(promise, 1), ("// only one thread\n" + promise, 0), (promise + "  // why", 0)]
        {
            #expect(Shape.unexplainedPromises(SourceText(path: "a.swift", text: text)).count == count)
        }
    }

    @Test func functionsDoNotCreepOverTheAim() {
        var creeping: [String] = []
        for file in Repository.sources {
            for (line, count) in Shape.functions(file) where count > Shape.functionAimLines {
                let finding = file.place(
                    line, "\(count) lines: over \(Shape.functionAimLines) it is usually two")
                if Shape.creepingLines.contains(count) { creeping.append(finding) } else { print(finding) }
            }
        }
        #expect(creeping.isEmpty, "\(creeping.joined(separator: "\n"))")
    }

    @Test func functionsAreMeasured() {
        let text = """
            protocol P {
                func none()
            }
            struct S {
                init(a: Int) { self.a = a }
                func two(_ text: String = "{") -> Bool
                { text == "}}" /* } */ }
                func three() {
                    // }
                }
            }
            """
        let counts = Shape.functions(SourceText(path: "a.swift", text: text)).map { [$0.line + 1, $0.count] }
        #expect(counts == [[5, 1], [6, 2], [8, 3]])
    }

    @Test func scannerKeepsCodeAndColumns() {
        let cases = [
            (#"a("x // y") // z"#, "a(        )     "), (#"b("\(c("d")) e") + f"#, "b(   c(   )    ) + f"),
            ("g /* h /* i */ j */ k", "g                   k"), (##"l(#"m " n"#) o"##, "l(         ) o"),
            ("p(\"\"\"\nq \" r\n\"\"\") s", "p(   \n     \n   ) s"),
        ]
        for (text, code) in cases { #expect(CodeScanner.code(of: text) == code) }
    }
}
