import Foundation
import Testing

/// The rows of Package.swift: which target may import which, lower rows first.
struct TargetGraph {
    struct Row: Equatable {
        let name: String
        let dependencies: [String]
    }

    let rows: [Row]

    init(manifest: String) {
        let pattern =
            #"(?:pure\(|arget\(\s*name:|systemLibrary\(\s*name:)\s*"(\w+)"(?:,\s*(?:dependencies:)?\s*\[([^\]]*)\])?"#
        let expression = try? NSRegularExpression(pattern: pattern)
        let matches =
            expression?.matches(in: manifest, range: NSRange(manifest.startIndex..., in: manifest)) ?? []
        rows = matches.map { match in
            func group(_ number: Int) -> String {
                Range(match.range(at: number), in: manifest).map { String(manifest[$0]) } ?? ""
            }
            let names = group(2).components(separatedBy: "\"").enumerated().filter { $0.offset % 2 == 1 }
            return Row(name: group(1), dependencies: names.map(\.element))
        }
    }

    func dependencies(of target: String) -> [String]? { rows.first { $0.name == target }?.dependencies }

    /// Rows that name a target which does not stand above them.
    var upwardRows: [String] {
        rows.indices.flatMap { index in
            rows[index].dependencies.filter { name in !rows[..<index].contains { $0.name == name } }
                .map { "Package.swift: \(rows[index].name) depends on \($0), which is not in a row above it" }
        }
    }

    /// Modules of the toolchain that a target may import beside its row.
    static let worldModules = ["Glibc", "Synchronization"]
    /// Targets that make system calls, or stand above them.
    static let worldTargets = [
        "EventLoop", "TLS", "Resolver", "Pam", "Ldap", "Http", "Daemon", "pglido", "simulate", "Fuzzers", "fuzz",
    ]
    /// What a pure target may not depend on, whatever its row says.
    static let notPure = ["EventLoop", "TLS", "CLinux", "CAres", "Daemon", "Glibc"]

    func findings(_ file: SourceText) -> [String] {
        let row = dependencies(of: file.target)
        let isWorld = Self.worldTargets.contains(file.target)
        return imports(file).compactMap { line, module in
            if !isWorld, Self.notPure.contains(module) {
                return file.place(
                    line, "\(file.target) is pure: hand it values instead of importing \(module)")
            }
            if row?.contains(module) == true || (isWorld && Self.worldModules.contains(module)) { return nil }
            return file.place(
                line,
                "\(module) is not in the row of \(file.target): move the code to a higher row, or pass a value"
            )
        }
    }

    func imports(_ file: SourceText) -> [(line: Int, module: String)] {
        file.code.indices.compactMap { index in
            var words = file.code[index].split(whereSeparator: { " \t;".contains($0) }).map(String.init)
            let modifiers = [
                "package", "internal", "private", "fileprivate", "public", "@preconcurrency", "@testable",
            ]
            while let word = words.first, modifiers.contains(word) || word.hasPrefix("@_") {
                words.removeFirst()
            }
            guard words.first == "import", words.count > 1 else { return nil }
            let kinds = ["struct", "class", "enum", "func", "var", "let", "typealias", "protocol"]
            let name = kinds.contains(words[1]) && words.count > 2 ? words[2] : words[1]
            return (index, name.split(separator: ".").first.map(String.init) ?? name)
        }
    }
}

@Suite struct GraphTests {
    private let graph = TargetGraph(manifest: Repository.text("Package.swift") ?? "")

    @Test func theManifestIsRead() {
        for folder in Repository.targetFolders {
            #expect(graph.dependencies(of: folder) != nil, "Sources/\(folder) has no row in Package.swift")
        }
        #expect(graph.dependencies(of: "Auth") == ["Primitives", "Wire", "Crypto"])
    }

    @Test func rowsDependOnlyOnRowsAbove() {
        #expect(graph.upwardRows.isEmpty, "\(graph.upwardRows.joined(separator: "\n"))")
    }

    @Test func pureRowsNameNothingOfTheWorld() {
        for row in graph.rows where !TargetGraph.worldTargets.contains(row.name) {
            let found = row.dependencies.filter { TargetGraph.notPure.contains($0) }
            #expect(
                found.isEmpty || isTestOrProgram(row.name), "\(row.name) is pure, but its row names \(found)")
        }
    }

    @Test func sourcesImportOnlyTheirRow() {
        let findings = Repository.sources.flatMap { graph.findings($0) }
        #expect(findings.isEmpty, "\(findings.joined(separator: "\n"))")
    }

    @Test func theGraphSeesWhatItIsFor() {
        let sample = TargetGraph(
            manifest: """
                .systemLibrary(name: "C", pkgConfig: "c"), pure("A", []), pure("B", ["A", "C", "D"]),
                pure("D", ["EventLoop"]), .executableTarget(
                    name: "x", dependencies: ["B"])
                """)
        #expect(sample.rows.map(\.name) == ["C", "A", "B", "D", "x"])
        #expect(sample.rows.last?.dependencies == ["B"])
        #expect(sample.upwardRows.count == 2)
        func count(_ text: String) -> Int {
            sample.findings(SourceText(path: "Sources/B/B.swift", text: text)).count
        }
        #expect(count("import A\npackage import C\n// import E\nlet a = \"import E\"") == 0)
        for bad in [
            "import E", "package import x", "@_exported import E", "import Glibc", "import struct E.F",
        ] {
            #expect(count(bad) == 1)
        }
    }

    @Test func theReadmeNamesEveryTarget() {
        guard let readme = Repository.text("README.md") else { return }
        for folder in Repository.targetFolders {
            #expect(readme.contains("`\(folder)"), "README.md does not say what `\(folder)` is for")
        }
    }

    private func isTestOrProgram(_ name: String) -> Bool {
        name.hasSuffix("Tests") || name.first?.isLowercase == true
    }
}
