import Foundation
import Testing

/// A word that may not stand in `Sources`, and what to write instead.
struct WordRule: Sendable, CustomTestStringConvertible {
    enum Scope: Sendable {
        case code
        /// Comments and strings too.
        case everything
    }

    let name: String
    let pattern: String
    let scope: Scope
    let instead: String
    /// Files whose path starts with one of these may.
    var exempt: [String] = []
    let bad: String
    let good: String

    var testDescription: String { name }

    func findings(_ file: SourceText) -> [String] {
        if exempt.contains(where: { file.path.hasPrefix($0) }) { return [] }
        guard let expression = try? NSRegularExpression(pattern: pattern) else {
            return ["bad pattern: \(pattern)"]
        }
        let lines = scope == .code ? file.code : file.lines
        return lines.indices.filter { expression.matches(lines[$0]) }.map { file.place($0, instead) }
    }

    static let all: [WordRule] = [
        WordRule(
            name: "no Foundation", pattern: #"\bimport\s+(Foundation|Dispatch)\w*"#, scope: .code,
            instead: "no Foundation in the daemon: Primitives and EventLoop have what it needs",
            bad: "package import Foundation", good: "import Primitives  // not import Foundation"),
        WordRule(
            name: "no public",
            pattern: #"\b(public|open)\s+(\w+\s+)*(struct|class|enum|func|var|let|init|protocol|actor)\b"#,
            scope: .code,
            instead:
                "say `package`; only rows 1 to 5 are public, because only public code is inlined across modules",
            exempt: ["Primitives", "Wire", "Crypto", "Auth", "Config", "Pool", "Session", "Engine"].map {
                "Sources/\($0)/"
            },
            bad: "public struct Pool {}", good: "package struct Pool { var open = 1 }"),
        WordRule(
            name: "no trap by wish", pattern: #"\btry!|\bas!|\bfatalError\s*\("#, scope: .code,
            instead:
                "a trap ends every client's session: use guard, or precondition where only our own bug can fail",
            bad: "let row = try! parse()", good: "let row = try? parse()  // not try!"),
        WordRule(
            name: "no notes to self", pattern: #"\b(TODO|FIXME|XXX)\b"#, scope: .everything,
            instead: "do it now or open an issue", bad: "// TODO: later", good: "// Later requests wait."),
        WordRule(
            name: "no async", pattern: #"\b(async|await)\b"#, scope: .code,
            instead: "the engine takes events and appends actions; nothing in Sources suspends",
            exempt: ["Sources/Simulator/"],
            bad: "let row = await next()", good: "let awaited = next()  // await"),
        WordRule(
            name: "unsafe has five homes", pattern: #"Unsafe|\bUnmanaged\b|\bOpaquePointer\b"#, scope: .code,
            instead:
                "take a ByteView or ByteBuffer; pointers live in Primitives, Crypto, EventLoop, TLS and Daemon",
            exempt: [
                "Primitives", "Crypto", "EventLoop", "TLS", "Daemon", "Simulator", "simulate", "Fuzzers", "fuzz",
            ].map { "Sources/\($0)/" },
            bad: "func read(_ p: UnsafeRawPointer)",
            good: "func read(_ view: ByteView)  // not UnsafeRawPointer"),
        WordRule(
            name: "pool modes have one home",
            pattern:
                #"PoolMode\.(session|transaction|statement)\b|(?<![\w\)\]\?!`])\.(session|transaction|statement)\b(?!\()"#,
            scope: .code,
            instead: "ask the mode a question of Session/PoolMode.swift; no other file may tell modes apart",
            exempt: [
                "Sources/Config/", "Sources/Console/", "Sources/Session/PoolMode.swift", "Sources/Simulator/",
                "Sources/Fuzzers/",
            ],
            bad: "case .transaction: release()",
            good: "if client.session.mode.mayRelease { log(.statement(1)) }"),
    ]
}

extension NSRegularExpression {
    func matches(_ text: String) -> Bool {
        firstMatch(in: text, range: NSRange(text.startIndex..., in: text)) != nil
    }
}

@Suite struct WordTests {
    @Test(arguments: WordRule.all)
    func sourcesKeep(rule: WordRule) {
        let findings = Repository.sources.flatMap { rule.findings($0) }
        #expect(findings.isEmpty, "\(findings.joined(separator: "\n"))")
    }

    @Test(arguments: WordRule.all)
    func theRuleSeesWhatItIsFor(rule: WordRule) {
        // No rule exempts both.
        let place = rule.exempt.contains("Sources/Console/") ? "Sources/Pool/" : "Sources/Console/"
        func findings(_ text: String) -> [String] {
            rule.findings(SourceText(path: place + "Sample.swift", text: text))
        }
        #expect(findings("\n" + rule.bad) == ["\(place)Sample.swift:2: \(rule.instead)"])
        #expect(findings(rule.good).isEmpty)
        for place in rule.exempt {
            #expect(rule.findings(SourceText(path: place + "Sample.swift", text: rule.bad)).isEmpty)
        }
    }
}
