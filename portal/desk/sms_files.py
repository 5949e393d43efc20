"""Text-message opt-outs leave as a file that people import in Marketing Cloud."""

import uuid

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from portal.desk.keyset import sheet
from portal.desk.visit import Visit
from portal.roles import Permission
from tokens.errors import SmsFileError
from tokens.models import Enterprise, SmsFile
from tokens.write_back import sms_files


def files_page(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/unsubscribes/sms/"""
    rows = SmsFile.objects.filter(enterprise__in=visit.enterprise_ids).defer("content", "opt_outs")
    context = {
        "title": "Text-message opt-outs",
        "sheet": sheet(rows, request),
        "waiting": [(one, sms_files.waiting([one.pk]).count()) for one in visit.enterprises],
        "enterprises": {one.pk: one for one in visit.enterprises},
        "header": sms_files.HEADER,
        "most": sms_files.MOST,
        "may_take": visit.may(Permission.UNSUBSCRIBE),
    }
    return render(request, "desk/sms_files.html", context)


def make(request: HttpRequest, visit: Visit) -> HttpResponse:
    """POST /admin/unsubscribes/sms/make/"""
    chosen = request.POST.get("enterprise", "")
    enterprise = next((one for one in visit.enterprises if str(one.pk) == chosen), None)
    if enterprise is None:
        raise Http404
    try:
        _made(request, sms_files.make(enterprise, actor=visit.actor), enterprise)
    except SmsFileError as error:
        messages.error(request, str(error))
    return redirect("admin:sms-files")


def _made(request: HttpRequest, file: SmsFile, enterprise: Enterprise) -> None:
    messages.success(
        request, f"The file of {enterprise} has {file.rows} rows. Download it, and import it there."
    )
    if file.left_out:
        messages.warning(
            request,
            f"{file.left_out} opt-outs are of people without a token or a subscriber key: unsubscribe them by hand.",
        )


def take(request: HttpRequest, visit: Visit, file_id: uuid.UUID) -> HttpResponse:
    """POST /admin/unsubscribes/sms/<id>/: that it was taken is recorded first"""
    file = SmsFile.objects.filter(pk=file_id, enterprise__in=visit.enterprise_ids).first()
    if file is None:
        raise Http404
    try:
        content = sms_files.take(file, actor=visit.actor)
    except SmsFileError as error:
        messages.error(request, str(error))
        return redirect("admin:sms-files")
    return HttpResponse(
        content,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="sms-opt-outs-{file.pk}.csv"'},
    )
