"""Schedules: pure rules that give due times. They read no clock and keep no state."""

from .aligned import Aligned as Aligned
from .base import Schedule as Schedule
from .excluded import ExceptOn as ExceptOn
from .excluded import except_on as except_on
from .expression import Cron as Cron
from .expression import cron as cron
from .interval import Every as Every
from .interval import every as every
from .interval import every_interval as every_interval
from .shift import Shifted as Shifted
from .shift import shifted as shifted
from .union import AnyOf as AnyOf
from .union import any_of as any_of
from .zones import check_timezone as check_timezone
