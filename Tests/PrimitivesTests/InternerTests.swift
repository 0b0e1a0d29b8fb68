import Primitives
import Testing

@Suite struct InternerTests {
    @Test func equalBytesHaveOneNumberUntilTheLastHolderLetsGo() {
        var interner = Interner(seed: 1)
        let a = ByteString("a").withView { interner.hold($0) }
        let b = ByteString("b").withView { interner.hold($0) }
        let again = ByteString("a").withView { interner.hold($0) }
        #expect(a == again)
        #expect(a != b)
        interner.hold(again: a)
        let steps = [interner.letGo(a), interner.letGo(a), interner.letGo(a)]
        #expect(steps == [false, false, true])
        let (count, gone, there) = (
            interner.count, ByteString("a").withView { interner.number(of: $0) },
            ByteString("b").withView { interner.number(of: $0) }
        )
        #expect(count == 1)
        #expect(gone == nil)
        #expect(there == b)
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func agreesWithACountedModel(_ seed: UInt64) {
        var random = Random(seed: seed)
        var interner = Interner(seed: seed)
        var model: [UInt32: (bytes: ByteString, holders: Int)] = [:]
        for _ in 0..<300 {
            if random.below(2) == 0 {
                let bytes = ByteString("text \(random.below(30))")
                let number = bytes.withView { interner.hold($0) }
                #expect(model[number] == nil || model[number]?.bytes == bytes)
                model[number, default: (bytes, 0)].holders += 1
            } else if let number = model.keys.sorted().first(where: { $0 >= UInt32(random.below(30)) }) {
                let isLast = interner.letGo(number)
                #expect(isLast == (model[number]?.holders == 1))
                model[number]?.holders -= 1
                if isLast { model[number] = nil }
            }
            let count = interner.count
            #expect(count == model.count)
            for (number, entry) in model {
                let bytes = interner.bytes(number)
                #expect(bytes == entry.bytes)
            }
        }
    }
}
