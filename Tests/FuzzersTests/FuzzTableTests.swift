import Foundation
import Testing

@testable import Fuzzers

/// Every fuzzer on its corpus and for a moment of new inputs; and the proof that what they find would be seen.
@Suite struct FuzzTableTests {
    private static let corpus = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .appending(path: "Corpus")

    static func inputs(of fuzzer: Fuzzer) -> [(name: String, bytes: Bytes)] {
        let folder = corpus.appending(path: fuzzer.name)
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path())) ?? []
        return names.sorted().compactMap { name in
            (try? Data(contentsOf: folder.appending(path: name))).map { (name, Bytes($0)) }
        }
    }

    @Test(arguments: FuzzTable.all.map(\.name))
    func theCorpusFindsNothing(name: String) throws {
        let fuzzer = try #require(FuzzTable.named(name))
        let inputs = Self.inputs(of: fuzzer)
        #expect(!inputs.isEmpty, "Tests/Corpus/\(name) has no seeds")
        for (file, bytes) in inputs {
            #expect(fuzzer.run(bytes) == .fine, "fuzz \(name) Tests/Corpus/\(name)/\(file)")
        }
    }

    @Test(arguments: FuzzTable.all.map(\.name))
    func newInputsFindNothing(name: String) throws {
        let fuzzer = try #require(FuzzTable.named(name))
        let corpus = Self.inputs(of: fuzzer).map(\.bytes)
        var mutator = Mutator(seed: 1, for: fuzzer)
        let end = Date.now.addingTimeInterval(0.5)
        while Date.now < end {
            let bytes = mutator.next(from: corpus)
            let verdict = fuzzer.run(bytes)
            #expect(verdict == .fine, "\(name): \(bytes.shown)")
            if verdict != .fine { return }
        }
    }

    @Test func theCanarySings() throws {
        let canary = try #require(FuzzTable.named("canary"))
        var mutator = Mutator(seed: 1, for: canary)
        #expect((0..<100_000).contains { _ in canary.run(mutator.next(from: [])) != .fine })
    }

    @Test func theOtherCanaryDies() async {
        await #expect(processExitsWith: .failure) {
            let canary = try #require(FuzzTable.named("canary-trap"))
            _ = canary.run(Canary.word)
        }
    }

    @Test func namesAreUnique() {
        let all = FuzzTable.all + FuzzTable.canaries
        #expect(Set(all.map(\.name)).count == all.count)
        #expect(Set(all.map(\.id)).count == all.count)
    }
}

@Suite struct MutatorTests {
    @Test func theSeedDecides() throws {
        let fuzzer = try #require(FuzzTable.named("client-framing"))
        func made(_ seed: UInt64) -> [Bytes] {
            var mutator = Mutator(seed: seed, for: fuzzer)
            return (0..<50).map { _ in mutator.next(from: [[1, 2, 3], [4]]) }
        }
        #expect(made(1) == made(1))
        #expect(made(1) != made(2))
        #expect(made(1).allSatisfy { $0.count <= fuzzer.limitBytes })
    }
}

@Suite struct CutterTests {
    @Test func wholeMessagesAndATail() {
        let cut = Cutter(Message.query("a") + Message.sync + [0x51, 0, 0])
        #expect(cut.pieces.map(\.bytes) == [Message.query("a"), Message.sync])
        #expect(cut.tail == [0x51, 0, 0])
        #expect(!cut.isBroken)
        #expect(cut.count(of: "QS") == 2)
    }

    @Test func lengthsThatCannotBe() {
        for length in [0, 3, 0x8000_0000] as [UInt32] {
            #expect(Cutter([0x51] + Message.word(length)).isBroken)
        }
        #expect(Cutter([0x51, 0, 0, 0, 4]).pieces.count == 1)
    }

    @Test func everyDeliveryIsTheWholeStream() {
        for delivery in Delivery.allCases {
            for count in [0, 1, 2, 100, 5000] {
                let pieces = delivery.pieces(count, seed: 3)
                #expect(pieces.reduce(0, +) == count)
                #expect(pieces.allSatisfy { $0 > 0 })
            }
        }
    }
}
