import Config
import Primitives
import Testing

@Suite struct ConnectStringTests {
    private func pairs(_ text: ByteString) throws -> [String] {
        try ConnectString.pairs(text).map { "\($0.key.lossyText)=\($0.value.lossyText)" }
    }

    @Test func pairsAndQuotes() throws {
        #expect(try pairs("") == [])
        #expect(try pairs("  ") == [])
        #expect(try pairs("a=1  b = 2 c='x y' d='it''s' ") == ["a=1", "b=2", "c=x y", "d=it's"])
        #expect(try pairs("a=''''") == ["a='"])
        #expect(try pairs("a=b=c") == ["a=b=c"])
        #expect(try pairs("a=it's") == ["a=it's"])
    }

    @Test(arguments: ["a", "a b=1", "=1", "a=", "a=''", "a='x", "a='x''", "a='x'y=1", "a= "] as [ByteString])
    func brokenOnes(text: ByteString) {
        #expect(throws: ConnectString.Problem.self) { try ConnectString.pairs(text) }
    }

    @Test func bytesStayAsTheyAre() throws {
        let text = ByteString(Array("a='".utf8) + [0xFF, 0x80, 0x0D] + Array("'".utf8))
        #expect(try ConnectString.pairs(text).map(\.value) == [ByteString([0xFF, 0x80, 0x0D])])
    }
}
