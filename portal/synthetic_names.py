# ruff: noqa: RUF001 (the letters are meant: these names are Turkish, Ukrainian and Hebrew)
"""Names and places for synthetic people, in the scripts that real files hold.

Each entry is `Name` or `Name/ascii`, where the second half is how its bearer writes it in an address. Lower-casing
and NFC leave all of them stable: no capital I with dot, no sharp s in capitals.
"""

from __future__ import annotations

from typing import NamedTuple


class Name(NamedTuple):
    """`shown` goes into attributes, `ascii` and `unicode` (lower case) into local parts."""

    shown: str
    ascii: str
    unicode: str


class Culture(NamedTuple):
    first: tuple[Name, ...]
    last: tuple[Name, ...]
    cities: tuple[str, ...]


def _names(text: str) -> tuple[Name, ...]:
    pairs = (entry.partition("/") for entry in text.split())
    return tuple(Name(shown, spelt or shown.lower(), shown.lower()) for shown, _, spelt in pairs)


def _culture(first: str, last: str, cities: str) -> Culture:
    return Culture(_names(first), _names(last), tuple(cities.split(", ")))


CULTURES: dict[str, Culture] = {
    "english": _culture(
        "Ada Grace Olivia Amelia Noah Liam Ethan Zoe/zoe Chloë/chloe Sean",
        "Smith Jones Taylor Brown O'Neil Walker Hughes Bennett Clarke Fitzgerald",
        "London, Leeds, Boston, Denver, Toronto, Perth, Dublin",
    ),
    "spanish": _culture(
        "Ana José/jose María/maria Sofía/sofia Iñaki/inaki Lucía/lucia Diego Valentina",
        "García/garcia Muñoz/munoz Peña/pena Rodríguez/rodriguez Núñez/nunez Ibáñez/ibanez Vega",
        "Madrid, Sevilla, Bogotá, Lima, Santiago, Córdoba, Mérida",
    ),
    "portuguese": _culture(
        "João/joao Inês/ines Conceição/conceicao Tiago Beatriz Antônio/antonio Luísa/luisa",
        "Silva Gonçalves/goncalves Magalhães/magalhaes Araújo/araujo Souza Simões/simoes",
        "Lisboa, Porto, São Paulo, Belém, Coimbra",
    ),
    "french": _culture(
        "Zoé/zoe François/francois Noël/noel Hélène/helene Loïc/loic Anaïs/anais Élodie/elodie Luc",
        "Lefèvre/lefevre Dupré/dupre Müller/muller Garçon/garcon Béranger/beranger Petit L'Hôte/lhote",
        "Paris, Orléans, Nîmes, Liège, Genève",
    ),
    "german": _culture(
        "Jürgen/juergen Käthe/kaethe Björn/bjoern Anna Lukas Sören/soeren Frieda Jörg/joerg",
        "Müller/mueller Groß/gross Weiß/weiss Schröder/schroeder Köhler/koehler Vogel Straßner/strassner",
        "Köln, München, Zürich, Wien, Gießen, Graz",
    ),
    "italian": _culture(
        "Niccolò/niccolo Chiara Giosuè/giosue Matteo Giulia Noemi",
        "Rossi D'Angelo Esposito Nicolò/nicolo Ferrari Loiacono",
        "Roma, Forlì, Cantù, Milano",
    ),
    "nordic": _culture(
        "Åsa/asa Björn/bjorn Søren/soren Mæve/maeve Päivi/paivi Ingrid Øystein/oystein Ólöf/olof",
        "Åström/astrom Østergård/ostergard Hämäläinen/hamalainen Lindqvist Næss/naess Ödegård/odegard",
        "Göteborg, Tromsø, Jyväskylä, Århus, Malmö",
    ),
    "dutch": _culture(
        "Daniël/daniel Femke Noor Joost Zoë/zoe Maartje",
        "Visser Jansen Smeets Coppens Dijkstra Ketelaars",
        "Utrecht, Gent, Den Haag, Antwerpen",
    ),
    "polish": _culture(
        "Łukasz/lukasz Małgorzata/malgorzata Zofia Michał/michal Żaneta/zaneta Paweł/pawel",
        "Wójcik/wojcik Dąbrowski/dabrowski Wiśniewska/wisniewska Źrebiec/zrebiec Nowak Kozłowski/kozlowski",
        "Łódź, Kraków, Gdańsk, Poznań",
    ),
    "czech": _culture(
        "Jiří/jiri Žofie/zofie Matěj/matej Růžena/ruzena Šimon/simon Adéla/adela",
        "Dvořák/dvorak Novotný/novotny Šťastný/stastny Růžička/ruzicka Čermák/cermak",
        "Plzeň, Brno, České Budějovice, Olomouc",
    ),
    "hungarian": _culture(
        "Gergő/gergo Réka/reka Ágnes/agnes Bálint/balint Zsófia/zsofia",
        "Szőke/szoke Nagy Tóth/toth Kovács/kovacs Fűzi/fuzi",
        "Győr, Pécs, Szeged, Miskolc",
    ),
    "romanian": _culture(
        "Ștefan/stefan Ioana Ionuț/ionut Mădălina/madalina Anca",
        "Țepeș/tepes Popescu Brâncuși/brancusi Ionescu Rădulescu/radulescu",
        "București, Iași, Cluj-Napoca, Timișoara",
    ),
    "greek": _culture(
        "Νίκος/nikos Άννα/anna Γιώργος/giorgos Ελένη/eleni Σοφία/sofia Κώστας/kostas",
        "Παπαδόπουλος/papadopoulos Οικονόμου/oikonomou Δημητρίου/dimitriou Βασιλείου/vasileiou",
        "Αθήνα, Θεσσαλονίκη, Πάτρα, Χανιά",
    ),
    "turkish": _culture(
        "Ayşe/ayse Çağla/cagla Gökhan/gokhan Şule/sule Kadir Elif Oğuz/oguz",
        "Yılmaz/yilmaz Öztürk/ozturk Çelik/celik Kılıç/kilic Doğan/dogan",
        "Ankara, Eskişehir, Diyarbakır, Muğla",
    ),
    "ukrainian": _culture(
        "Олена/olena Іван/ivan Наталія/nataliia Андрій/andrii Юлія/yuliia Тарас/taras",
        "Шевченко/shevchenko Коваленко/kovalenko Бойко/boiko Ткачук/tkachuk Мельник/melnyk",
        "Київ, Львів, Одеса, Харків",
    ),
    "kazakh": _culture(
        "Әсел/asel Нұрлан/nurlan Айгүл/aigul Ержан/erzhan",
        "Сұлтан/sultan Оспанов/ospanov Ахметова/akhmetova",
        "Астана, Алматы, Шымкент",
    ),
    "hebrew": _culture(
        "נועה/noa איתי/itay תמר/tamar יוסי/yossi שירה/shira",
        "כהן/cohen לוי/levi מזרחי/mizrahi פרץ/peretz ביטון/biton",
        "תל אביב, חיפה, ירושלים",
    ),
    "arabic": _culture(
        "محمد/mohammed فاطمة/fatima يوسف/youssef آمنة/amna خالد/khaled ليلى/layla",
        "الحربي/alharbi حسن/hassan القحطاني/alqahtani منصور/mansour إبراهيم/ibrahim",
        "القاهرة, دبي, الرياض, جدة",
    ),
    "indian": _culture(
        "अनीता/anita राहुल/rahul प्रिया/priya संजय/sanjay लक्ष्मी/lakshmi",
        "शर्मा/sharma वर्मा/verma गुप्ता/gupta सिंह/singh मिश्रा/mishra",
        "दिल्ली, मुंबई, पुणे, जयपुर",
    ),
    "chinese": _culture(
        "伟/wei 芳/fang 秀英/xiuying 敏/min 静/jing 强/qiang",
        "王/wang 李/li 张/zhang 刘/liu 陈/chen 黄/huang",
        "北京, 上海, 香港, 台北, 新加坡",
    ),
    "japanese": _culture(
        "花子/hanako 太郎/taro さくら/sakura 健/ken がく/gaku あおい/aoi",
        "佐藤/sato 鈴木/suzuki 高橋/takahashi 渡辺/watanabe 小林/kobayashi",
        "東京, 大阪, 札幌, 福岡",
    ),
    "korean": _culture(
        "민준/minjun 서연/seoyeon 지우/jiwoo 하은/haeun 도윤/doyun",
        "김/kim 이/lee 박/park 최/choi 정/jung",
        "서울, 부산, 대구",
    ),
    "thai": _culture(
        "สมชาย/somchai มาลี/malee อนันต์/anan สุดา/suda",
        "ศรีสุข/srisuk ทองดี/thongdee แก้วมณี/kaewmanee",
        "กรุงเทพ, เชียงใหม่, ขอนแก่น",
    ),
    "vietnamese": _culture(
        "Hương/huong Đức/duc Thảo/thao Tuấn/tuan Nguyệt/nguyet",
        "Nguyễn/nguyen Trần/tran Phạm/pham Đặng/dang Võ/vo",
        "Hà Nội, Đà Nẵng, Huế",
    ),
    "malay": _culture(
        "Siti Agus Dewi Farid Nurul Budi",
        "Wijaya Rahman Santoso Hidayat Ismail",
        "Jakarta, Kuala Lumpur, Manila, Surabaya",
    ),
    "african": _culture(
        "Adébáyọ̀/adebayo Ngozi Chídi/chidi Wanjiru Thabo Akinyi Lerato",
        "Okafor Ọláwálé/olawale Mwangi Ndlovu Adeyemi Kamau",
        "Lagos, Nairobi, Durban, Ìbàdàn",
    ),
}
